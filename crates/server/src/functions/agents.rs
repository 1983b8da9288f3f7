//! `agents.*`: started processes and what their daemon says of them.

use super::chatrooms::find_own;
use super::daemon::{check_reports, own_machine};
use super::settle::{Inventory, settle};
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::store::agents::{self, Filter};
use crate::store::machines;
use chatroom_protocol::Refusal;
use chatroom_protocol::agent::{Agent, AgentFact};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::agents::{AgentArgs, Get, List, ListArgs, ReportExited, ReportExitedArgs};

/// How many agents one answer lists.
const LISTED: i64 = 200;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<List>(list_topics, |cx, args| Box::pin(list(cx, args)));
    registry.query::<Get>(super::machines::own_machines, |cx, args| Box::pin(get(cx, args)));
    registry.mutation::<ReportExited>(|cx, args| Box::pin(report_exited(cx, args)));
}

fn list_topics(caller: &Caller, args: &ListArgs) -> Vec<Topic> {
    match &args.chatroom_id {
        Some(id) => vec![Topic::Chatroom(id.clone())],
        None => super::machines::own_machines(caller, args),
    }
}

async fn list(cx: &mut QueryCx, args: ListArgs) -> Result<Vec<Agent>> {
    let user_id = cx.caller.user_id()?.clone();
    if let Some(id) = &args.chatroom_id {
        find_own(&mut cx.tx, &cx.caller, id).await?;
    }
    if let Some(id) = &args.machine_id {
        machines::find(&mut cx.tx, &user_id, id).await?.ok_or_else(|| Refusal::not_found("machine"))?;
    }
    let filter = Filter {
        chatroom_id: args.chatroom_id.as_ref(),
        machine_id: args.machine_id.as_ref(),
        ended: args.include_ended,
    };
    let rows = agents::list(&mut cx.tx, &user_id, filter, LISTED).await?;
    Ok(rows.into_iter().map(|row| row.agent).collect())
}

async fn get(cx: &mut QueryCx, args: AgentArgs) -> Result<Agent> {
    let user_id = cx.caller.user_id()?.clone();
    let row = agents::find(&mut cx.tx, &user_id, &args.agent_id).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("agent"))?.agent)
}

/// Takes ends from whichever session of the machine: an end stays true.
async fn report_exited(cx: &mut MutationCx, args: ReportExitedArgs) -> Result<Empty> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    check_reports(&args.agents)?;
    let mut ended = args.agents;
    ended.retain(|report| matches!(report.fact, AgentFact::Exited { .. }));
    settle(&mut cx.tx, &machine.user_id, &machine.id, &ended, Inventory::Partial, cx.now).await?;
    Ok(Empty {})
}
