//! Calls that may be made again: a mutation under one idempotency key, while the server cannot be reached for a moment.

use chatroom_machine::{CallError, Client};
use chatroom_protocol::Function;
use std::time::Duration;

/// How often, and how long apart.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Calls a mutation under a fresh idempotency key, again while the server is out of reach, about 6 s in all: it takes effect
/// at most once.
///
/// # Errors
/// The last [`CallError`].
pub(crate) async fn idempotent<F: Function>(client: &Client, args: &F::Args) -> Result<F::Output, CallError> {
    let key = uuid::Uuid::now_v7().to_string();
    let mut tried = 0;
    loop {
        tried += 1;
        match client.call_idempotent::<F>(args, &key).await {
            Err(error) if error.is_retryable() && tried < TRIES => {
                tokio::time::sleep(PAUSE * 2u32.pow(tried - 1)).await
            }
            other => return other,
        }
    }
}
