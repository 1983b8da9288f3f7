//! Brings tasks into one session, one at a time, and finds out what became of them.
//!
//! While the session is idle and holds no task, the courier waits for one as the agent's own waiter. When a turn has ended and
//! its task is still held, it says so, and the host reminds the agent, once. What is to be done is read from how the host says
//! that it stands ([`duty`]), so a daemon that was started anew goes on where the other one ended.

use super::{Hosts, Live};
use crate::credentials::AgentCredential;
use crate::daemon::session::Session;
use crate::waiter::{Waited, Waiter};
use crate::{LinkEvent, Secret};
use chatroom_protocol::agent::TurnState;
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::api::participants;
use chatroom_protocol::api::tasks::{GetHeld, HeldArgs, HeldTask, WaiterArgs};
use chatroom_protocol::host::{HostOrder, HostState, Work};
use chatroom_protocol::id::WaiterId;
use chatroom_protocol::task::Delivery;
use chatroom_protocol::{ErrorCode, Function as _};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Pause after something that passes by itself.
const RETRY: Duration = Duration::from_millis(500);
/// Between looks whether a credential that was refused is replaced.
const CREDENTIAL_LOOK: Duration = Duration::from_millis(100);
/// Between looks whether somebody who took over the role's waiting still waits.
const TAKEN_LOOK: Duration = Duration::from_secs(30);

/// What the courier is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Duty {
    /// Nothing until the host says something else.
    Rest,
    /// Wait for a task.
    Fetch,
    /// Find out whether the task of the turn that ended is over.
    Settle(Work),
    /// Follow the task that is worked on: somebody else may end it.
    Follow(Work),
}

/// What a host that stands so needs.
fn duty(state: Option<&HostState>) -> Duty {
    let Some(state) = state else { return Duty::Rest };
    match (&state.work, state.turn) {
        (_, TurnState::Starting) => Duty::Rest,
        (Some(work), _) if work.turn_ended => Duty::Settle(work.clone()),
        (Some(work), _) => Duty::Follow(work.clone()),
        (None, TurnState::Idle) => Duty::Fetch,
        (None, _) => Duty::Rest,
    }
}

/// Brings tasks until the host is gone.
pub(super) async fn bring(hosts: &Hosts, live: &Live, order: watch::Sender<Option<HostOrder>>) {
    let bringing = async {
        let mut state = live.state.clone();
        // Claimed for this session and not seen there yet.
        let mut claimed: Option<Box<Delivery>> = None;
        loop {
            let stands = state.borrow_and_update().clone();
            let duty = duty(stands.as_ref());
            if let (Some(delivery), Some(host)) = (&claimed, &stands)
                && host.work.as_ref().is_some_and(|work| is_same(work, delivery))
            {
                claimed = None;
            }
            let at_this = async {
                match &duty {
                    Duty::Rest => std::future::pending().await,
                    Duty::Fetch => {
                        if claimed.is_none() {
                            claimed = Some(fetch(hosts, live).await);
                        }
                        order.send_replace(claimed.as_deref().map(task_order));
                    }
                    Duty::Settle(work) => {
                        let over = is_over(hosts, live, work).await;
                        order.send_replace(Some(end_order(work, over)));
                    }
                    Duty::Follow(work) => {
                        until_over(hosts, live, work).await;
                        order.send_replace(Some(end_order(work, true)));
                    }
                }
                // Said; the host answers by standing otherwise.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = at_this => {}
                changed = stands_otherwise(&mut state, &duty) => if changed.is_err() { return },
            }
        }
    };
    tokio::select! {
        () = live.gone.cancelled() => {}
        () = bringing => {}
    }
}

/// Waits until the host needs something else. A text that streams changes nothing here.
async fn stands_otherwise(
    state: &mut watch::Receiver<Option<HostState>>,
    now: &Duty,
) -> Result<(), watch::error::RecvError> {
    state.wait_for(|state| duty(state.as_ref()) != *now).await.map(drop)
}

/// Waits for a task of the agent's role and claims it.
async fn fetch(hosts: &Hosts, live: &Live) -> Box<Delivery> {
    loop {
        let session = session(hosts).await;
        let (waiter, token) = match own_waiter(live, &session).await {
            Ok(own) => own,
            Err(error) => {
                tracing::debug!(agent.id = %live.agent_id, %error, "an agent's credential cannot be used yet");
                sleep(RETRY).await;
                continue;
            }
        };
        // Whoever drops this future ends the wait; a claim under way is then made again by the next one.
        let over = CancellationToken::new();
        let waited = match waiter.join().await {
            Ok(_) => waiter.next(&session.link, &over, |_| {}).await,
            Err(error) => Err(error),
        };
        match waited {
            Ok(Waited::Task(delivery)) => return delivery,
            Ok(Waited::Over) => sleep(RETRY).await,
            Ok(Waited::Superseded(reason)) => {
                tracing::info!(agent.id = %live.agent_id, "somebody else waits in the agent's role: {reason}");
                until_free(live, &waiter).await;
            }
            Err(error) if error.code() == Some(ErrorCode::Superseded) => until_free(live, &waiter).await,
            // A command that is claimed again gives the agent another credential.
            Err(error) if error.code() == Some(ErrorCode::Unauthenticated) => {
                tracing::debug!(agent.id = %live.agent_id, %error, "an agent's credential is refused");
                until_replaced(&live.run.credential(), &token).await;
            }
            Err(error) => {
                tracing::debug!(agent.id = %live.agent_id, %error, "an agent cannot wait for tasks");
                sleep(if error.is_retryable() { RETRY } else { TAKEN_LOOK }).await;
            }
        }
    }
}

/// Waits until the file at `path` holds another credential than the one that was refused; not for ever.
async fn until_replaced(path: &Path, refused: &Secret) {
    let replaced = async {
        loop {
            let path = path.to_owned();
            let stored = spawn_blocking(move || AgentCredential::load(&path)).await;
            if let Ok(Ok(stored)) = stored
                && stored.token != *refused
            {
                return;
            }
            sleep(CREDENTIAL_LOOK).await;
        }
    };
    let _ = timeout(TAKEN_LOOK, replaced).await;
}

/// Waits until nobody else waits in the role.
async fn until_free(live: &Live, waiter: &Waiter) {
    let room = ChatroomArgs { chatroom_id: live.chatroom_id.clone() };
    loop {
        sleep(TAKEN_LOOK).await;
        if let Ok(participants) = waiter.client().call::<participants::List>(&room).await
            && !participants.iter().any(|known| known.role == live.role && known.waiting)
        {
            return;
        }
    }
}

/// The agent as a waiter, and the credential that it calls with.
async fn own_waiter(live: &Live, session: &Session) -> Result<(Waiter, Secret), String> {
    let path = live.run.credential();
    let credential = spawn_blocking(move || AgentCredential::load(&path)).await.map_err(|error| error.to_string())?;
    let credential = credential.map_err(|error| error.to_string())?;
    let client = session.client.with_token(credential.token.clone()).map_err(|error| error.to_string())?;
    let args = WaiterArgs {
        chatroom_id: live.chatroom_id.clone(),
        role: live.role.clone(),
        // A new one each time: one that somebody took over from stays out.
        waiter_id: WaiterId::from(uuid::Uuid::new_v4()),
    };
    Ok((Waiter::new(client, args, None).live(), credential.token))
}

/// Whether the task of a turn that ended is over. Asked by a call of its own: what the agent did in its turn is seen.
async fn is_over(hosts: &Hosts, live: &Live, work: &Work) -> bool {
    let args = held_args(hosts, live);
    let held = hosts
        .sessions
        .call(|session| {
            let args = args.clone();
            async move { session.client.call::<GetHeld>(&args).await }
        })
        .await;
    held.map_or(true, |held| !holds(&held, work))
}

/// Waits until the task is over by anybody's doing.
async fn until_over(hosts: &Hosts, live: &Live, work: &Work) {
    loop {
        let session = session(hosts).await;
        let mut held = session.link.subscribe::<GetHeld>(&held_args(hosts, live));
        while let Some(event) = held.next().await {
            match event {
                LinkEvent::Value(held) if !holds(&held, work) => return,
                LinkEvent::Refused(refusal) if refusal.code == ErrorCode::NotFound => return,
                LinkEvent::Refused(refusal) => {
                    tracing::debug!(agent.id = %live.agent_id, function = GetHeld::NAME, %refusal, "refused");
                }
                LinkEvent::Value(_) | LinkEvent::Down { .. } | LinkEvent::Up => {}
            }
        }
        sleep(RETRY).await;
    }
}

fn held_args(hosts: &Hosts, live: &Live) -> HeldArgs {
    HeldArgs {
        machine_id: hosts.machine_id.clone(),
        agent_id: live.agent_id.clone(),
        chatroom_id: live.chatroom_id.clone(),
    }
}

fn holds(held: &HeldTask, work: &Work) -> bool {
    held.task_id.as_ref() == Some(&work.task_id) && held.delivery == work.delivery
}

fn is_same(work: &Work, delivery: &Delivery) -> bool {
    work.task_id == delivery.task.task_id && work.delivery == delivery.task.delivery
}

async fn session(hosts: &Hosts) -> Session {
    let mut current = hosts.sessions.current.subscribe();
    match current.wait_for(Option::is_some).await.ok().and_then(|session| session.clone()) {
        Some(session) => session,
        // Without a keeper there will be no session any more: the daemon ends.
        None => std::future::pending().await,
    }
}

fn task_order(delivery: &Delivery) -> HostOrder {
    HostOrder::Task {
        task_id: delivery.task.task_id.clone(),
        delivery: delivery.task.delivery,
        brief: delivery.brief.clone(),
        reminder: delivery.reminder.clone().unwrap_or_default(),
    }
}

fn end_order(work: &Work, over: bool) -> HostOrder {
    let (task_id, delivery) = (work.task_id.clone(), work.delivery);
    if over { HostOrder::TaskOver { task_id, delivery } } else { HostOrder::TaskOpen { task_id, delivery } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(turn: TurnState, work: Option<Work>) -> HostState {
        HostState { last_seq: 1, turn, work }
    }

    fn work(turn_ended: bool) -> Work {
        Work { task_id: "t".into(), delivery: 1, turn_ended, reminded: false }
    }

    #[tokio::test]
    async fn a_credential_that_was_refused_is_used_again_only_when_it_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credential.json");
        let server = crate::ServerUrl::parse("http://127.0.0.1:1", false).unwrap();
        let save = |token: &str| {
            AgentCredential::new(&server, token.into(), "a".into(), "r".into(), "builder".to_owned())
                .save(&path)
                .unwrap();
        };
        save("first");
        let refused = Secret::new("first");
        let soon = Duration::from_millis(300);
        assert!(timeout(soon, until_replaced(&path, &refused)).await.is_err());
        save("second");
        timeout(Duration::from_secs(5), until_replaced(&path, &refused)).await.unwrap();
    }

    #[test]
    fn a_task_is_fetched_only_for_a_session_that_is_idle_and_holds_none() {
        assert_eq!(duty(None), Duty::Rest);
        for turn in [TurnState::Starting, TurnState::Working, TurnState::WaitingForPermission, TurnState::NeedsYou] {
            assert_eq!(duty(Some(&state(turn, None))), Duty::Rest, "{turn:?}");
        }
        assert_eq!(duty(Some(&state(TurnState::Idle, None))), Duty::Fetch);
    }

    #[test]
    fn a_task_is_followed_until_its_turn_ends_and_settled_then() {
        assert_eq!(duty(Some(&state(TurnState::Working, Some(work(false))))), Duty::Follow(work(false)));
        assert_eq!(duty(Some(&state(TurnState::NeedsYou, Some(work(false))))), Duty::Follow(work(false)));
        assert_eq!(duty(Some(&state(TurnState::Idle, Some(work(true))))), Duty::Settle(work(true)));
    }
}
