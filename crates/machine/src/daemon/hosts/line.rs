//! The line to one host: made again while the host lives. What is wanted of the host is kept as a state, not as a stream, and
//! said anew on each line; the host does nothing twice.

use super::{Inputs, Live};
use crate::agent::run_dir::RunDir;
use crate::daemon::runs::gone;
use crate::socket_path::with_address;
use chatroom_protocol::host::{HostOrder, HostState};
use chatroom_protocol::id::InputId;
use std::collections::HashSet;
use std::io;
use std::os::unix::net::UnixStream as BlockingStream;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// Pause before a line is made again.
const RETRY: Duration = Duration::from_millis(100);

/// Keeps a line to the host until it is gone.
pub(super) async fn keep(
    live: &Live,
    told: watch::Sender<Option<HostState>>,
    mut order: watch::Receiver<Option<HostOrder>>,
    mut inputs: watch::Receiver<Inputs>,
) {
    let _gone = live.gone.clone().drop_guard();
    let Some(host) = live.run.facts().host().cloned() else { return };
    let kept = async {
        loop {
            if let Ok(stream) = connect(&live.run)
                && let Err(error) = speak(live, stream, &told, &mut order, &mut inputs).await
            {
                tracing::debug!(agent.id = %live.agent_id, %error, "the line to an agent's host is cut");
            }
            sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = gone(&host) => {}
        () = kept => {}
    }
}

/// Connects to the host of a run. Its directory is this user's alone.
fn connect(run: &RunDir) -> io::Result<UnixStream> {
    let stream = with_address(&run.control_socket(), |path| BlockingStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Speaks over one line until it is cut.
async fn speak(
    live: &Live,
    stream: UnixStream,
    told: &watch::Sender<Option<HostState>>,
    order: &mut watch::Receiver<Option<HostOrder>>,
    inputs: &mut watch::Receiver<Inputs>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut said: HashSet<InputId> = HashSet::new();
    order.mark_changed();
    inputs.mark_changed();
    loop {
        let wanted = tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                match serde_json::from_str(&line) {
                    Ok(state) => drop(told.send_replace(Some(state))),
                    // A host of another version; what it does still stands in its transcript.
                    Err(error) => tracing::warn!(agent.id = %live.agent_id, %error, "an agent's host says what this version does not know"),
                }
                continue;
            }
            changed = order.changed() => {
                changed.map_err(io::Error::other)?;
                order.borrow_and_update().iter().cloned().collect()
            }
            changed = inputs.changed() => {
                changed.map_err(io::Error::other)?;
                let waiting = inputs.borrow_and_update().get(&live.agent_id).cloned().unwrap_or_default();
                unsaid(&mut said, waiting)
            }
        };
        for order in wanted {
            let mut line = serde_json::to_vec(&order)?;
            line.push(b'\n');
            writer.write_all(&line).await?;
        }
    }
}

/// The inputs that were not said over this line yet.
fn unsaid(said: &mut HashSet<InputId>, mut waiting: Vec<HostOrder>) -> Vec<HostOrder> {
    waiting.retain(|order| match order {
        HostOrder::Say { input_id, .. } | HostOrder::Cancel { input_id } | HostOrder::Answer { input_id, .. } => {
            said.insert(input_id.clone())
        }
        HostOrder::Task { .. } | HostOrder::TaskOver { .. } | HostOrder::TaskOpen { .. } => true,
    });
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_said_once_over_a_line() {
        let mut said = HashSet::new();
        let say = |id: &str| HostOrder::Say { input_id: id.into(), text: "x".to_owned() };
        assert_eq!(unsaid(&mut said, vec![say("a")]), vec![say("a")]);
        assert_eq!(unsaid(&mut said, vec![say("a"), say("b")]), vec![say("b")]);
        assert_eq!(unsaid(&mut HashSet::new(), vec![say("a")]), vec![say("a")]);
    }
}
