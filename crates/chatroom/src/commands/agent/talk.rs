//! `chatroom agent send` and `agent cancel`: what an owner says into a session, and what became of it.

use super::find;
use crate::cli::{AgentCancel, AgentSend};
use crate::context::{Context, link};
use crate::duration::show;
use crate::error::{Refused, Said, refused};
use crate::input::read_message;
use crate::retry;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::{Client, LinkEvent};
use chatroom_protocol::agent::{Agent, AgentInput, InputState, Turn, TurnState};
use chatroom_protocol::api::agents;
use serde::Serialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long to wait for the end of a turn that its tool was asked to end.
const ENDS: Duration = Duration::from_secs(8);

/// Runs `agent send`.
pub(super) async fn send(context: &Context, args: AgentSend) -> Result<()> {
    let text = if args.text == "-" { read_message("what to say")? } else { args.text };
    let client = context.client()?;
    let agent = find(&client, &args.target).await?;
    let input = say(&client, &agent, text).await?;
    let input = if args.wait { until_taken(&client, input, args.timeout).await? } else { input };
    finish(context, &input, &agent, args.wait.then_some(args.timeout), "it reached")
}

/// Runs `agent cancel`.
pub(super) async fn cancel(context: &Context, args: AgentCancel) -> Result<()> {
    let client = context.client()?;
    let agent = find(&client, &args.target).await?;
    let input = cancel_turn(&client, &agent).await?;
    let input = until_taken(&client, input, args.timeout).await?;
    if !matches!(input.state, InputState::Delivered { .. }) {
        return finish(context, &input, &agent, Some(args.timeout), "");
    }
    let turn_has_ended = until_ended(&client, &agent).await?;
    if context.ui.is_json() {
        context.ui.document(&Cancelled { input: &input, turn_has_ended })?;
    }
    match cancelled(&agent, turn_has_ended) {
        Ok(said) => Ok(context.ui.say(&said)?),
        // The document has said it.
        Err(_) if context.ui.is_json() => Err(Said.into()),
        Err(refused) => Err(refused.into()),
    }
}

/// A cancel that reached the session, and whether the turn has ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled<'a> {
    #[serde(flatten)]
    input: &'a AgentInput,
    turn_has_ended: bool,
}

/// What became of a turn whose tool was asked to end it, in one line. Refused: it goes on.
fn cancelled(agent: &Agent, turn_has_ended: bool) -> Result<String, Refused> {
    let role = one_line(&agent.role);
    if turn_has_ended {
        return Ok(format!("the turn is cancelled: {role} ({})", agent.agent_id));
    }
    let waited = show(i64::try_from(ENDS.as_millis()).unwrap_or(i64::MAX));
    let (room, name) = (&agent.chatroom_id, crate::program::quote(&agent.role));
    Err(refused(format!("{role} was asked to end its turn, and has not ended it within {waited}")).hint(format!(
        "a tool that goes on is ended 30 s after it was asked; at once: chatroom agent restart --chatroom-id={room} --role={name}"
    )))
}

/// Waits a little until the turn that an agent was in has ended. False: it goes on.
async fn until_ended(client: &Client, before: &Agent) -> Result<bool> {
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let link = link(client, &end)?;
    let mut live = link.subscribe::<agents::Get>(&agents::AgentArgs { agent_id: before.agent_id.clone() });
    let follow = async {
        while let Some(event) = live.next().await {
            match event {
                LinkEvent::Value(agent) if has_ended(before, &agent) => return Ok(true),
                LinkEvent::Refused(refusal) => return Err(refusal),
                LinkEvent::Value(_) | LinkEvent::Down { .. } | LinkEvent::Up => {}
            }
        }
        Ok(false)
    };
    Ok(tokio::time::timeout(ENDS, follow).await.unwrap_or(Ok(false))?)
}

/// Whether the turn of an agent as it was before runs no more. The next one may have begun.
fn has_ended(before: &Agent, now: &Agent) -> bool {
    let running = |agent: &Agent| {
        let turn = agent.session.turn.clone().filter(|_| agent.state.is_active());
        turn.filter(|turn| matches!(turn.state, TurnState::Working | TurnState::WaitingForPermission))
    };
    match (running(before), running(now)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(now)) => {
            let is_working = |turn: &Turn| turn.state == TurnState::Working;
            before.task_id != now.task_id || (is_working(&before) && is_working(&now) && before.since != now.since)
        }
    }
}

/// Says something to an agent.
pub(super) async fn say(client: &Client, agent: &Agent, text: String) -> Result<AgentInput> {
    let args = agents::SendArgs { agent_id: agent.agent_id.clone(), text };
    Ok(retry::idempotent::<agents::Send>(client, &args).await?)
}

/// Cancels the turn of an agent.
pub(super) async fn cancel_turn(client: &Client, agent: &Agent) -> Result<AgentInput> {
    let args = agents::AgentArgs { agent_id: agent.agent_id.clone() };
    Ok(retry::idempotent::<agents::CancelTurn>(client, &args).await?)
}

/// Follows an input until it is taken or refused; gives it as it stands when the time is over.
async fn until_taken(client: &Client, input: AgentInput, limit: Duration) -> Result<AgentInput> {
    if input.state != InputState::Queued {
        return Ok(input);
    }
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let link = link(client, &end)?;
    let mut live = link.subscribe::<agents::ListInputs>(&agents::AgentArgs { agent_id: input.agent_id.clone() });
    let mut newest = input;
    let follow = async {
        while let Some(event) = live.next().await {
            match event {
                LinkEvent::Value(list) => {
                    if let Some(found) = list.into_iter().find(|one| one.input_id == newest.input_id) {
                        newest = found;
                    }
                    if newest.state != InputState::Queued {
                        break;
                    }
                }
                LinkEvent::Refused(refusal) => return Err(refusal),
                LinkEvent::Down { .. } | LinkEvent::Up => {}
            }
        }
        Ok(())
    };
    match tokio::time::timeout(limit, follow).await {
        Ok(Err(refusal)) => Err(refusal.into()),
        Ok(Ok(())) | Err(_) => Ok(newest),
    }
}

fn finish(context: &Context, input: &AgentInput, agent: &Agent, waited: Option<Duration>, taken: &str) -> Result<()> {
    let came = came(input, agent, waited, taken);
    if context.ui.is_json() {
        context.ui.document(input)?;
    }
    let said = match came {
        Ok(said) => said,
        // The document has said it.
        Err(_) if context.ui.is_json() => return Err(Said.into()),
        Err(refused) => return Err(refused.into()),
    };
    if context.ui.is_json() { Ok(()) } else { Ok(context.ui.say(&said)?) }
}

/// What became of an input, in one line. Refused: it did not reach the session, or not in the time that was waited.
fn came(input: &AgentInput, agent: &Agent, waited: Option<Duration>, taken: &str) -> Result<String, Refused> {
    let role = one_line(&agent.role);
    match (&input.state, waited) {
        (InputState::Delivered { .. }, _) => Ok(format!("{taken} {role} ({})", agent.agent_id)),
        (InputState::Queued, None) => Ok(format!("queued for {role} ({}): its machine takes it", agent.agent_id)),
        (InputState::Queued, Some(waited)) => {
            let waited = show(i64::try_from(waited.as_millis()).unwrap_or(i64::MAX));
            let why = format!(
                "it stays queued; see `chatroom agent why --chatroom-id={} --role={}`",
                agent.chatroom_id,
                crate::program::quote(&agent.role)
            );
            Err(refused(format!("it has not reached {role} after {waited}")).hint(why))
        }
        (InputState::Refused { reason, .. }, _) => Err(refused(format!("{role} did not take it: {reason}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{came, cancelled, has_ended};
    use crate::commands::agent::tests::agent;
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{Agent, AgentExit, AgentInput, AgentState, Input, InputState, Turn, TurnState};
    use std::time::Duration;

    #[test]
    fn a_turn_is_cancelled_only_when_it_runs_no_more() {
        let with = |state, since, task: &str| {
            let mut agent = agent();
            agent.session.turn = Some(Turn { state, since: UnixMs(since), task_id: Some(task.into()) });
            agent
        };
        let before = with(TurnState::Working, 5, "t1");
        assert!(!has_ended(&before, &before));
        assert!(!has_ended(&before, &with(TurnState::WaitingForPermission, 6, "t1")));
        assert!(has_ended(&before, &with(TurnState::Idle, 6, "t1")));
        assert!(has_ended(&before, &with(TurnState::Working, 6, "t2")), "the next turn");
        let ended = AgentState::Exited { at: UnixMs(6), exit: AgentExit::Stopped };
        assert!(has_ended(&before, &Agent { state: ended, ..before.clone() }));
        assert_eq!(cancelled(&before, true).unwrap(), "the turn is cancelled: builder (a1)");
        let goes_on = anyhow::Error::from(cancelled(&before, false).unwrap_err());
        let (text, _) = crate::error::report(&goes_on);
        assert!(text.contains("was asked to end its turn, and has not ended it within 8 s"), "{text}");
        assert!(text.contains("chatroom agent restart --chatroom-id=r1 --role=builder"), "{text}");
    }

    #[test]
    fn what_became_of_an_input_is_said_and_what_did_not_arrive_is_no_success() {
        let said = |state, waited| {
            let input = AgentInput {
                input_id: "i".into(),
                agent_id: "a1".into(),
                input: Input::Cancel,
                state,
                created_at: UnixMs(0),
            };
            came(&input, &agent(), waited, "it reached").map_err(|refused| refused.to_string())
        };
        let wait = Some(Duration::from_secs(90));
        assert_eq!(said(InputState::Queued, None).unwrap(), "queued for builder (a1): its machine takes it");
        assert_eq!(said(InputState::Delivered { at: UnixMs(1) }, wait).unwrap(), "it reached builder (a1)");
        assert_eq!(said(InputState::Queued, wait).unwrap_err(), "it has not reached builder after 90 s");
        let refused = InputState::Refused { at: UnixMs(1), reason: "no turn runs".to_owned() };
        assert_eq!(said(refused, wait).unwrap_err(), "builder did not take it: no turn runs");
    }
}
