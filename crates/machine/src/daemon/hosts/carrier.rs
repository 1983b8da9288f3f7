//! Carries the transcript of one agent to the server: in order, from where the server says that it has come, until the host is
//! gone and the last event is there. The server takes every event once, so whatever is not sure is sent again.

use super::{Hosts, Live};
use crate::CallError;
use crate::agent::transcript::Reader;
use chatroom_protocol::api::agents::{AppendTranscript, AppendTranscriptArgs};
use chatroom_protocol::host::HostState;
use chatroom_protocol::transcript::{APPEND_BYTES, APPEND_EVENTS, TranscriptEvent};
use std::io;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Between looks at a journal that tells nothing of itself: its line is cut.
const LOOK: Duration = Duration::from_secs(1);
/// Before what could not be carried is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Carries until everything is told.
pub(super) async fn carry(hosts: &Hosts, live: &Live) {
    let mut reader = Some(Reader::at(&live.run));
    let mut through = match append(hosts, live, Vec::new()).await {
        Ok(through) => through,
        Err(error) => return give_up(live, &error),
    };
    let mut state = live.state.clone();
    loop {
        // Looked at before the journal is read: what is written before the host is gone is found.
        let is_last = live.gone.is_cancelled();
        let told = state.borrow().as_ref().map_or(0, |host| host.last_seq);
        let is_whole = loop {
            let events = match read(&mut reader, through).await {
                Ok(events) if events.is_empty() => break true,
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!(agent.id = %live.agent_id, %error, "the transcript of an agent cannot be read");
                    break false;
                }
            };
            match append(hosts, live, events).await {
                Ok(recorded) if recorded > through => through = recorded,
                // A server that takes events and does not come further would be asked for ever.
                Ok(recorded) => {
                    tracing::warn!(agent.id = %live.agent_id, recorded, "the server does not take a transcript any further");
                    break false;
                }
                Err(error) => return give_up(live, &error),
            }
        };
        if is_last {
            // What is missing is tried again by the next daemon.
            if is_whole && let Err(error) = live.run.put_told() {
                tracing::warn!(agent.id = %live.agent_id, %error, "that a transcript is carried cannot be written down");
            }
            return;
        }
        tokio::select! {
            () = live.gone.cancelled() => {}
            () = until_news(&mut state, through, told) => {}
        }
    }
}

/// Waits until the host tells of events beyond those that are carried, and those of which it had `told` already. What was told
/// and could not be carried (a line that does not read, a server that does not take it) is tried again after a while.
async fn until_news(state: &mut watch::Receiver<Option<HostState>>, through: i64, told: i64) {
    let is_news = |host: &Option<HostState>| host.as_ref().is_some_and(|host| host.last_seq > through.max(told));
    tokio::select! {
        is_cut = async { state.wait_for(is_news).await.is_err() } => if is_cut {
            // Without a line the journal tells nothing of itself.
            sleep(LOOK).await;
        },
        () = sleep(AGAIN), if through < told => {}
    }
}

async fn read(reader: &mut Option<Reader>, after: i64) -> io::Result<Vec<TranscriptEvent>> {
    let Some(mut taken) = reader.take() else { return Err(io::Error::other("the reader of the journal is lost")) };
    let (taken, events) = spawn_blocking(move || {
        let events = taken.read_after(after, APPEND_EVENTS, APPEND_BYTES - APPEND_BYTES / 8);
        (taken, events)
    })
    .await
    .map_err(io::Error::other)?;
    *reader = Some(taken);
    events
}

/// Tells events until the server has answered; gives how far it has come.
async fn append(hosts: &Hosts, live: &Live, events: Vec<TranscriptEvent>) -> Result<i64, CallError> {
    let args = AppendTranscriptArgs { machine_id: hosts.machine_id.clone(), agent_id: live.agent_id.clone(), events };
    let answer = hosts
        .sessions
        .call(|session| {
            let args = args.clone();
            async move { session.client.call::<AppendTranscript>(&args).await }
        })
        .await?;
    Ok(answer.through)
}

/// The server does not know the agent (any more), or does not understand its transcript.
fn give_up(live: &Live, error: &CallError) {
    tracing::warn!(agent.id = %live.agent_id, %error, "the server does not take the transcript of an agent");
    if live.gone.is_cancelled() {
        let _ = live.run.put_told();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatroom_protocol::agent::TurnState;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_was_told_and_could_not_be_carried_is_not_tried_again_at_once() {
        let host = |last_seq| Some(HostState { last_seq, turn: TurnState::Idle, work: None });
        let (host_says, mut state) = watch::channel(host(5));
        for (through, told, has_news) in [(4, 5, false), (5, 5, false), (6, 5, false), (4, 4, true)] {
            let news = timeout(Duration::from_millis(20), until_news(&mut state, through, told)).await;
            assert_eq!(news.is_ok(), has_news, "{through} {told}");
        }
        // Told while the journal was read.
        host_says.send_replace(host(6));
        until_news(&mut state, 4, 5).await;
    }
}
