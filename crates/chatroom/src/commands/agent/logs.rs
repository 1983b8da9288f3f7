//! `chatroom agent logs`: what an agent said and did, of any machine, by its transcript; or what its tool wrote, on this machine.

use super::find;
use super::stream::{Stream, newest};
use crate::cli::{AgentLogs, AgentTarget};
use crate::context::{Context, link};
use crate::error::refused;
use crate::machines::known_here;
use crate::stop::on_signal;
use crate::transcript::{Answering, Scribe};
use crate::ui::one_line;
use anyhow::Result;
use chatroom_protocol::api::agents;

/// Runs `agent logs`.
pub(super) async fn run(context: &Context, logs: AgentLogs) -> Result<()> {
    if logs.raw {
        return raw(context, logs).await;
    }
    let count = i64::try_from(logs.lines).unwrap_or(i64::MAX);
    let client = context.client()?;
    let target = AgentTarget { agent: logs.agent_id, chatroom_id: logs.chatroom_id, role: logs.role };
    let agent = find(&client, &target).await?;
    if logs.follow {
        let stopped = on_signal(true)?;
        let link = link(&client, &stopped)?;
        let mut stream = Stream::open(context.ui, &client, link, agent, count, Answering::Elsewhere).await?;
        loop {
            let more = tokio::select! {
                () = stopped.cancelled() => return Ok(()),
                more = stream.next() => more?,
            };
            if !more {
                return Ok(());
            }
        }
    }
    let (events, _) = newest(&client, &agent, count).await?;
    if context.ui.is_json() {
        return Ok(context.ui.document(&events)?);
    }
    if events.is_empty() {
        let text = format!("agent {} of {} has said and done nothing yet", agent.agent_id, one_line(&agent.role));
        return Ok(context.ui.note(&text)?);
    }
    let mut scribe = Scribe::new(context.ui.width(), Answering::Elsewhere);
    for event in &events {
        context.ui.lines(&scribe.event(event))?;
    }
    Ok(context.ui.lines(&scribe.flush())?)
}

/// What the tool of an agent of this machine wrote, from its file here.
async fn raw(context: &Context, logs: AgentLogs) -> Result<()> {
    let agent_id = match (logs.agent_id, logs.chatroom_id, logs.role) {
        (Some(agent_id), _, _) => agent_id,
        (None, Some(room), Some(role)) => {
            let args = agents::ListArgs {
                chatroom_id: Some(room.into()),
                machine_id: known_here(context)?,
                include_ended: true,
            };
            let found = context.client()?.call::<agents::List>(&args).await?;
            let role = role.trim().to_lowercase();
            match found.into_iter().find(|agent| agent.role == role) {
                Some(agent) => agent.agent_id.to_string(),
                None => {
                    return Err(refused(format!("no agent of {} was started on this machine", one_line(&role))).into());
                }
            }
        }
        _ => return Err(refused("no agent is named").hint("chatroom agent list --all").into()),
    };
    let text = crate::agent_log::tail(&context.home, &agent_id, logs.lines)?;
    if text.is_empty() && !context.ui.is_json() {
        let about = format!("the tool of agent {} wrote nothing of its own", one_line(&agent_id));
        return Ok(context.ui.note(&about)?);
    }
    Ok(context.ui.answer(&text, Clone::clone)?)
}
