//! The commands of agents.

use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Start the agent of a role; returns when it can be spoken to, or says why it cannot work.
    Start(AgentStart),
    /// Stop the agent of a role.
    Stop(AgentSlot),
    /// Stop the agent of a role, then start it again, as one command.
    Restart(AgentSlot),
    /// List agents.
    List(AgentList),
    /// See what an agent does as it does it, speak to it and answer what it asks.
    Attach(AgentAttach),
    /// Say something to an agent.
    Send(AgentSend),
    /// Cancel what an agent does now; it stays.
    Cancel(AgentCancel),
    /// Print what an agent said and did.
    Logs(AgentLogs),
    /// Say what keeps a role from working, and what mends it: exit code 0 when nothing does, 1 when something does.
    Why(AgentWhy),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentSlot {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// The role.
    #[arg(long)]
    pub(crate) role: String,
    /// Name or id of the machine; by default the one where the role's agent is, this one, or the only one.
    #[arg(long)]
    pub(crate) machine: Option<String>,
    /// How long to wait for the end of the command, and for the tool to be ready, for example 90s.
    #[arg(long, default_value = "60s", value_parser = crate::duration::parse)]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentStart {
    #[command(flatten)]
    pub(crate) slot: AgentSlot,
    /// Tool to start, for example opencode, claude or echo.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Model, in the tool's own words; see `chatroom machine models`.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Directory to work in, on that machine.
    #[arg(long)]
    pub(crate) dir: Option<String>,
    /// What the agent may do without asking: `ask` (nothing; the default), `accept-edits` or `full`.
    #[arg(long, value_parser = ["ask", "accept-edits", "full"])]
    pub(crate) permission_mode: Option<String>,
    /// Let a task that comes for the role start its agent.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub(crate) start_on_task: Option<bool>,
    /// Take the role over from an agent on another machine.
    #[arg(long = "move")]
    pub(crate) take_over: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentList {
    /// Only of this room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: Option<String>,
    /// Only on this machine (name or id).
    #[arg(long)]
    pub(crate) machine: Option<String>,
    /// Ended ones too.
    #[arg(long)]
    pub(crate) all: bool,
}

/// Which agent: by its id, or the newest one of a role.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AgentTarget {
    /// The agent, or the beginning of its id.
    #[arg(long, value_name = "ID", required_unless_present = "chatroom_id", conflicts_with = "chatroom_id")]
    pub(crate) agent: Option<String>,
    /// The room.
    #[arg(long, value_name = "ID", requires = "role")]
    pub(crate) chatroom_id: Option<String>,
    /// The role.
    #[arg(long, requires = "chatroom_id", conflicts_with = "agent")]
    pub(crate) role: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentAttach {
    #[command(flatten)]
    pub(crate) target: AgentTarget,
    /// How many events that are there already to begin with: 0 to 500.
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(i64).range(0..=500))]
    pub(crate) history: i64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentSend {
    #[command(flatten)]
    pub(crate) target: AgentTarget,
    /// Wait until it has reached the agent.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait for that, for example 90s.
    #[arg(long, default_value = "60s", value_parser = crate::duration::parse)]
    pub(crate) timeout: Duration,
    /// What to say; `-` reads it from standard input.
    pub(crate) text: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentCancel {
    #[command(flatten)]
    pub(crate) target: AgentTarget,
    /// How long to wait until the agent has heard, for example 90s.
    #[arg(long, default_value = "30s", value_parser = crate::duration::parse)]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentLogs {
    /// The agent, or the beginning of its id; or name its role by --chatroom-id and --role.
    #[arg(required_unless_present = "chatroom_id")]
    pub(crate) agent_id: Option<String>,
    /// The room.
    #[arg(long, value_name = "ID", requires = "role", conflicts_with = "agent_id")]
    pub(crate) chatroom_id: Option<String>,
    /// The role.
    #[arg(long, requires = "chatroom_id")]
    pub(crate) role: Option<String>,
    /// How many events of the transcript at the most, or lines with --raw.
    #[arg(long, default_value_t = 200)]
    pub(crate) lines: usize,
    /// Go on printing what comes, until the agent ends.
    #[arg(long, short, conflicts_with = "raw")]
    pub(crate) follow: bool,
    /// Print what its tool wrote as it is, from the file on this machine.
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentWhy {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// The role.
    #[arg(long)]
    pub(crate) role: String,
}
