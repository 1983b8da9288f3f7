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
use chatroom_protocol::agent::{Agent, AgentInput, InputState};
use chatroom_protocol::api::agents;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

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
    finish(context, &input, &agent, Some(args.timeout), "the turn is cancelled:")
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
    use super::came;
    use crate::commands::agent::tests::agent;
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{AgentInput, Input, InputState};
    use std::time::Duration;

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
