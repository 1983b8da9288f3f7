//! `agents.send`, `.cancelTurn`, `.listInputs`, `.getInbox`: what owners send into the sessions of their agents. An input waits here
//! until the agent's machine takes it; what became of it is told by the agent's transcript.

use super::daemon::{is_current, own_machine};
use super::text;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::inputs::{self, Bound};
use crate::store::{self, Tx, agents};
use chatroom_protocol::agent::{Agent, AgentInput, Input, InputState, TurnState};
use chatroom_protocol::api::agents::{AgentArgs, CancelTurn, GetInbox, Inbox, InboxArgs, ListInputs, Send, SendArgs};
use chatroom_protocol::id::{AgentId, TaskId, UserId};
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};

/// Inputs that may wait for one agent.
const QUEUED: i64 = 100;
/// What one list of an agent's inputs holds.
const LISTED: Bound = Bound { rows: 100, bytes: 1024 * 1024 };
/// What one inbox holds; the rest follows when its beginning is taken.
const INBOX: Bound = Bound { rows: 200, bytes: 1024 * 1024 };

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Send>(|cx, args| Box::pin(send(cx, args)));
    registry.mutation::<CancelTurn>(|cx, args| Box::pin(cancel_turn(cx, args)));
    registry.query::<ListInputs>(
        |_, args| vec![Topic::Inputs(args.agent_id.clone())],
        |cx, args| Box::pin(list_inputs(cx, args)),
    );
    registry.query::<GetInbox>(
        // A newer session of the machine ends this one.
        |_, args| vec![Topic::Inbox(args.machine_id.clone()), Topic::Machine(args.machine_id.clone())],
        |cx, args| Box::pin(get_inbox(cx, args)),
    );
}

/// A user's agent.
///
/// # Errors
/// `not_found` when there is none, or it is somebody else's.
pub(super) async fn own_agent(tx: &mut Tx, user_id: &UserId, id: &AgentId) -> Result<Agent> {
    Ok(agents::find(tx, user_id, id).await?.ok_or_else(|| Refusal::not_found("agent"))?.agent)
}

async fn send(cx: &mut MutationCx, args: SendArgs) -> Result<AgentInput> {
    text::check_content(&args.text)?;
    enqueue(cx, &args.agent_id, Input::Say { text: args.text }).await
}

async fn cancel_turn(cx: &mut MutationCx, args: AgentArgs) -> Result<AgentInput> {
    enqueue(cx, &args.agent_id, Input::Cancel).await
}

async fn enqueue(cx: &mut MutationCx, agent_id: &AgentId, input: Input) -> Result<AgentInput> {
    let user_id = cx.caller.user_id()?.clone();
    let agent = own_agent(&mut cx.tx, &user_id, agent_id).await?;
    if !agent.state.is_active() {
        let message = format!("the agent of the role {} has ended; nothing was sent", agent.role);
        return Err(Refusal::new(ErrorCode::AgentEnded, message)
            .hint("start it again with `chatroom agent start`, then send it to the new one")
            .into());
    }
    if inputs::count_queued(&mut cx.tx, agent_id).await? >= QUEUED {
        let message = format!("{QUEUED} inputs wait for this agent already; nothing was sent");
        return Err(Refusal::new(ErrorCode::LimitReached, message)
            .hint("wait until its machine has taken some; see whether that is connected")
            .into());
    }
    Ok(queue(&mut cx.tx, &agent, input, cx.now).await?)
}

async fn queue(tx: &mut Tx, agent: &Agent, input: Input, now: UnixMs) -> store::Result<AgentInput> {
    let input = AgentInput {
        input_id: secret::new_id(),
        agent_id: agent.agent_id.clone(),
        input,
        state: InputState::Queued,
        created_at: now,
    };
    inputs::insert(tx, &agent.machine_id, &input).await?;
    Ok(input)
}

/// A task has its end by its owner's word: the turn of an agent that works on it is cancelled. Any other turn goes on.
pub(super) async fn cancel_turn_of_task(
    tx: &mut Tx,
    user_id: &UserId,
    agent_id: &AgentId,
    task_id: &TaskId,
    now: UnixMs,
) -> Result<()> {
    let Some(agent) = agents::find(tx, user_id, agent_id).await?.map(|row| row.agent) else { return Ok(()) };
    let works_on_it = agent.session.turn.as_ref().is_some_and(|turn| {
        matches!(turn.state, TurnState::Working | TurnState::WaitingForPermission)
            && turn.task_id.as_ref() == Some(task_id)
    });
    if agent.state.is_active() && works_on_it && inputs::count_queued(tx, agent_id).await? < QUEUED {
        queue(tx, &agent, Input::Cancel, now).await?;
    }
    Ok(())
}

async fn list_inputs(cx: &mut QueryCx, args: AgentArgs) -> Result<Vec<AgentInput>> {
    let user_id = cx.caller.user_id()?.clone();
    let agent = own_agent(&mut cx.tx, &user_id, &args.agent_id).await?;
    Ok(inputs::list(&mut cx.tx, &agent.agent_id, LISTED).await?)
}

async fn get_inbox(cx: &mut QueryCx, args: InboxArgs) -> Result<Inbox> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    if !is_current(&machine, args.epoch)? {
        return Ok(Inbox::Superseded);
    }
    Ok(Inbox::Current { inputs: inputs::list_queued(&mut cx.tx, &machine.id, INBOX).await? })
}
