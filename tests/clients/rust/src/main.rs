//! What the crate `convex` must be able to do, in two versions: `chatroom-test-clients 0.9|0.10`, with URL and TOKEN in the
//! environment. A line like `please: cut` asks the test that started this to do something; every other line says what was seen.

use std::io::BufRead as _;

/// Asks the test, and waits until it has done it.
fn please(what: &str) {
    println!("please: {what}");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
}

macro_rules! conformance {
    ($version:ident, $name:ident) => {
        mod $name {
            use super::please;
            use futures_util::StreamExt as _;
            use std::collections::BTreeMap;
            use std::time::Duration;
            use $version::{ConvexClient, FunctionResult, QuerySubscription, Value};

            fn args<const N: usize>(fields: [(&str, &str); N]) -> BTreeMap<String, Value> {
                fields.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text.to_owned()))).collect()
            }

            fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
                let Value::Object(fields) = value else { panic!("not an object: {value:?}") };
                fields.get(name).unwrap_or_else(|| panic!("no {name} in {value:?}"))
            }

            fn text<'a>(value: &'a Value, name: &str) -> &'a str {
                let Value::String(text) = field(value, name) else { panic!("{name} of {value:?} is no text") };
                text
            }

            async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
                let ended = tokio::time::timeout(Duration::from_secs(60), future).await;
                ended.unwrap_or_else(|_| panic!("not within 60 s: {what}"))
            }

            fn ok(result: FunctionResult) -> Value {
                match result {
                    FunctionResult::Value(value) => value,
                    other => panic!("refused: {other:?}"),
                }
            }

            fn is_refused(result: FunctionResult, code: &str) {
                let FunctionResult::ConvexError(error) = result else { panic!("not refused with {code}: {result:?}") };
                assert_eq!(text(&error.data, "code"), code);
                assert!(!text(&error.data, "message").is_empty());
            }

            /// Waits until the list of rooms has one of this name; gives the ids of those that do.
            async fn shows(rooms: &mut QuerySubscription, name: &str) -> Vec<String> {
                within(name, async {
                    while let Some(result) = rooms.next().await {
                        let Value::Array(list) = ok(result) else { panic!("not a list") };
                        let named = list.iter().filter(|room| text(room, "name") == name);
                        let ids: Vec<String> = named.map(|room| text(room, "chatroomId").to_owned()).collect();
                        if !ids.is_empty() {
                            return ids;
                        }
                    }
                    panic!("the subscription ended");
                })
                .await
            }

            pub(crate) async fn run(url: &str, token: &str) -> anyhow::Result<()> {
                let mut client = ConvexClient::new(url).await?;
                client.set_auth(Some(token.to_owned())).await;
                let me = within("a query", client.query("auth:whoami", args([]))).await?;
                assert_eq!(text(&ok(me), "kind"), "user");
                let mut rooms = client.subscribe("chatrooms:list", args([])).await?;
                let create = args([("name", "by socket"), ("team", "solo")]);
                let created = ok(within("a mutation", client.mutation("chatrooms:create", create)).await?);
                assert!(matches!(field(&created, "createdAt"), Value::Float64(_)));
                shows(&mut rooms, "by socket").await;
                please("create another");
                shows(&mut rooms, "another").await;
                println!("saw: subscription");

                let refused = client.mutation("chatrooms:create", args([("name", "x"), ("team", "none")]));
                is_refused(within("a refusal", refused).await?, "unknown_team");
                let refused = client.query("chatrooms:get", args([("chatroomId", "none")]));
                is_refused(within("a refusal", refused).await?, "not_found");
                let mut token_args = args([("name", "t")]);
                // A count leaves this client as a float64, and reaches a function that reads an integer.
                token_args.insert("expiresInMs".to_owned(), Value::Float64(60_000.0));
                is_refused(within("a refusal", client.mutation("auth:createToken", token_args)).await?, "http_only");
                let mut list_args = args([("chatroomId", text(&created, "chatroomId"))]);
                list_args.insert("limit".to_owned(), Value::Float64(5.0));
                assert_eq!(ok(within("a list", client.query("messages:list", list_args)).await?), Value::Array(vec![]));
                println!("saw: errors");

                please("cut");
                shows(&mut rooms, "after the cut").await;
                println!("saw: reconnect");
                please("restart");
                shows(&mut rooms, "after the restart").await;
                println!("saw: restart");

                // The answer to this call is lost after it took effect. This client sends it again under a new session: only
                // the key makes one call of the two.
                please("swallow the next answer");
                let once = args([("name", "once"), ("team", "solo"), ("idempotencyKey", "the one call")]);
                let once = ok(within("a mutation", client.mutation("chatrooms:create", once)).await?);
                let ids = shows(&mut rooms, "once").await;
                assert_eq!(ids, [text(&once, "chatroomId")]);
                println!("saw: replay");
                println!("saw: end");
                Ok(())
            }
        }
    };
}

conformance!(convex_0_9, version_0_9);
conformance!(convex, version_0_10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("URL")?;
    let token = std::env::var("TOKEN")?;
    match std::env::args().nth(1).as_deref() {
        Some("0.9") => version_0_9::run(&url, &token).await?,
        Some("0.10") => version_0_10::run(&url, &token).await?,
        other => anyhow::bail!("which version? 0.9 or 0.10, not {other:?}"),
    }
    // The worker of version 0.9 outlives its client and would hold the runtime.
    std::process::exit(0)
}
