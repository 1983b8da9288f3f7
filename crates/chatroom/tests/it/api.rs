//! The function API as a script uses it: one HTTP call per function, with the login of a world.

use crate::world::World;
use serde_json::{Value, json};

/// A client with one token.
pub(crate) struct Api {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    /// As the user who is signed in at a server in this world.
    pub(crate) fn of(world: &World, url: &str) -> Self {
        let text = std::fs::read(world.chatroom_dir().join("credentials.json")).unwrap();
        let credentials: Value = serde_json::from_slice(&text).unwrap();
        Self::with_token(url, credentials["servers"][url]["userToken"].as_str().unwrap())
    }

    /// With a token, at an address.
    pub(crate) fn with_token(url: &str, token: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A kept connection would be a dead one after a restart of the server.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { runtime, client, url: url.to_owned(), token: token.to_owned() }
    }

    /// Calls a function; `Err` is the refusal, or null when there was no answer.
    pub(crate) fn call(&self, name: &str, args: &Value) -> Result<Value, Value> {
        let url = format!("{}/api/run/{}", self.url, name.replace('.', "/"));
        self.runtime.block_on(async {
            let request = self.client.post(url).bearer_auth(&self.token).json(&json!({"args": args, "format": "json"}));
            let answer: Value = request.send().await.map_err(|_| Value::Null)?.json().await.map_err(|_| Value::Null)?;
            if answer["status"] == "success" { Ok(answer["value"].clone()) } else { Err(answer["errorData"].clone()) }
        })
    }

    /// Calls a function that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, name: &str, args: &Value) -> Value {
        self.call(name, args).unwrap_or_else(|refusal| panic!("{name} {args}: {refusal}"))
    }
}
