use convex::{ConvexClient, FunctionResult, Value};
use futures_util::StreamExt as _;
use std::env::var;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut client = ConvexClient::new(&var("CHATROOM_URL")?).await?;
    client.set_auth(Some(var("CHATROOM_TOKEN")?)).await;

    let arguments = [
        ("name", "made by Rust"),
        ("team", "solo"),
        ("idempotencyKey", "the room of the Rust example"),
    ];
    let arguments = arguments.map(|(name, text)| (name.to_owned(), Value::from(text))).into();
    match client.mutation("chatrooms:create", arguments).await? {
        FunctionResult::Value(_) => println!("made"),
        FunctionResult::ConvexError(error) => anyhow::bail!("refused: {} {:?}", error.message, error.data),
        FunctionResult::ErrorMessage(message) => anyhow::bail!("{message}"),
    }

    let mut rooms = client.subscribe("chatrooms:list", [].into()).await?;
    if let Some(FunctionResult::Value(Value::Array(list))) = rooms.next().await {
        println!("there are {} rooms", list.len());
    }
    Ok(())
}
