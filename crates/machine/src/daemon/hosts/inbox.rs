//! What owners have sent into sessions: followed over the daemon's connection, handed to the lines. A host says in its
//! transcript that it has taken an input; only then does the server leave it out.

use super::Hosts;
use crate::LinkEvent;
use chatroom_protocol::agent::Input;
use chatroom_protocol::api::agents::{GetInbox, Inbox, InboxArgs, QueuedInput};
use chatroom_protocol::host::HostOrder;
use chatroom_protocol::id::AgentId;
use std::collections::HashMap;
use std::sync::Arc;

/// Follows the inbox, session after session, until the daemon ends.
pub(super) async fn follow(hosts: Arc<Hosts>) {
    let mut current = hosts.sessions.current.subscribe();
    loop {
        let Ok(session) = current.wait_for(Option::is_some).await.map(|session| session.clone()) else { return };
        let Some(session) = session else { continue };
        let args = InboxArgs { machine_id: hosts.machine_id.clone(), epoch: session.epoch };
        let mut inbox = session.link.subscribe::<GetInbox>(&args);
        while let Some(event) = inbox.next().await {
            match event {
                LinkEvent::Value(Inbox::Current { inputs }) => {
                    drop(hosts.inputs.send_replace(Arc::new(by_agent(inputs))))
                }
                // Whoever follows the commands sees it too, and ends the daemon.
                LinkEvent::Value(Inbox::Superseded) | LinkEvent::Down { .. } | LinkEvent::Up => {}
                LinkEvent::Refused(refusal) => tracing::warn!(%refusal, "the inbox of this machine cannot be read"),
            }
        }
        // The link has ended with its session; another one comes.
        if current.changed().await.is_err() {
            return;
        }
    }
}

fn by_agent(inputs: Vec<QueuedInput>) -> HashMap<AgentId, Vec<HostOrder>> {
    let mut orders: HashMap<AgentId, Vec<HostOrder>> = HashMap::new();
    for QueuedInput { input_id, agent_id, input } in inputs {
        let order = match input {
            Input::Say { text } => HostOrder::Say { input_id, text },
            Input::Cancel => HostOrder::Cancel { input_id },
            Input::Answer { request_id, choice, by } => HostOrder::Answer { input_id, request_id, choice, by },
        };
        orders.entry(agent_id).or_default().push(order);
    }
    orders
}
