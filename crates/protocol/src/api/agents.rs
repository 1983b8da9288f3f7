//! `agents.*`: started processes and what their daemon says of them.

use super::Empty;
use super::machines::ChatroomArgs;
use crate::agent::{Agent, AgentInput, AgentReport, RoleStatus};
use crate::id::{AgentId, ChatroomId, InputId, MachineId};
use crate::transcript::TranscriptEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Lists agents, newest first: of a room, of a machine, or all of the caller's.
    List(ListArgs) -> Vec<Agent> = "agents.list", Query, [USER];
    /// Shows one agent.
    Get(AgentArgs) -> Agent = "agents.get", Query, [USER];
    /// Reports that an agent's process ended; replay-safe.
    ReportExited(ReportExitedArgs) -> Empty = "agents.reportExited", Mutation, [MACHINE];
    /// Every role of a room with what is wanted of its agent, what is, and why it does not work, if so.
    ListRoles(ChatroomArgs) -> Vec<RoleStatus> = "agents.listRoles", Query, [USER];
    /// One role as in `agents.listRoles`: the one fact that keeps it from working, since when, and what mends it.
    Why(RoleArgs) -> RoleStatus = "agents.why", Query, [USER];
    /// Adds events to an agent's transcript, replay-safe: those that are known already change nothing.
    AppendTranscript(AppendTranscriptArgs) -> Appended = "agents.appendTranscript", Mutation, [MACHINE];
    /// A page of an agent's transcript. To follow it live, subscribe with `after`, and anew with a higher one now and then.
    Transcript(TranscriptArgs) -> TranscriptPage = "agents.transcript", Query, [USER];
    /// Says something to an agent. It is queued until its machine takes it, and in the session until the turn is over.
    Send(SendArgs) -> AgentInput = "agents.send", Mutation, [USER];
    /// Cancels the turn of an agent.
    CancelTurn(AgentArgs) -> AgentInput = "agents.cancelTurn", Mutation, [USER];
    /// What was sent into an agent's session and what became of it, the newest 100, oldest first.
    ListInputs(AgentArgs) -> Vec<AgentInput> = "agents.listInputs", Query, [USER];
    /// What waits to be taken into the sessions of this machine's agents, oldest first. The daemon subscribes to it.
    GetInbox(InboxArgs) -> Inbox = "agents.getInbox", Query, [MACHINE];
}

/// Arguments that name a role of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role; matched without regard to case.
    pub role: String,
}

/// Arguments of `agents.appendTranscript`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppendTranscriptArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// Which agent.
    pub agent_id: AgentId,
    /// The next events, in order: at most 500 and 1 MiB. None: only ask how far the server has come.
    pub events: Vec<TranscriptEvent>,
}

/// Answer of `agents.appendTranscript`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Appended {
    /// The number of the last event that the server has.
    pub through: i64,
}

/// Arguments of `agents.transcript`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptArgs {
    /// Which agent.
    pub agent_id: AgentId,
    /// Events after this number, the oldest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Events before this number, the newest of them. With neither, the newest of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// How many at most: 1 to 500, by default 100. A page ends sooner at 512 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// A page of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptPage {
    /// The events, in order.
    pub events: Vec<TranscriptEvent>,
    /// The number of the oldest event that is kept; zero when there is none.
    pub first_seq: i64,
    /// The number of the newest event.
    pub last_seq: i64,
}

/// Arguments of `agents.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendArgs {
    /// To which agent.
    pub agent_id: AgentId,
    /// What: 1 to 100,000 characters.
    pub text: String,
}

/// Arguments of `agents.getInbox`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboxArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The session's epoch.
    pub epoch: i64,
}

/// Answer of `agents.getInbox`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "session", rename_all = "snake_case")]
pub enum Inbox {
    /// This session is the newest.
    Current {
        /// What waits, oldest first; at most 200.
        inputs: Vec<QueuedInput>,
    },
    /// A newer session of this machine has taken over: end.
    Superseded,
}

/// An input that waits to be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedInput {
    /// Its id.
    pub input_id: InputId,
    /// For which agent.
    pub agent_id: AgentId,
    /// What.
    #[serde(flatten)]
    pub input: crate::agent::Input,
}

/// Arguments of `agents.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListArgs {
    /// Only of this room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chatroom_id: Option<ChatroomId>,
    /// Only on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// Ended ones too (the newest 200 in all).
    #[serde(default)]
    pub include_ended: bool,
}

/// Arguments that name an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentArgs {
    /// Which agent.
    pub agent_id: AgentId,
}

/// Arguments of `agents.reportExited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportExitedArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The agents that ended (reports of running ones are ignored).
    pub agents: Vec<AgentReport>,
}
