//! `tasks.*`: waiting for work, working and handing on. Every write after a hand-over is fenced by the delivery number.

use super::Empty;
use super::messages::AttachedArtifact;
use crate::id::{AgentId, ChatroomId, MachineId, MessageId, TaskId, WaiterId};
use crate::task::{Delivery, NextTask, Task, TaskState, TaskWrite};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Lists a room's tasks, in queue order; ended ones only when asked for by state. Texts end after 1,000 characters with `…`.
    List(ListArgs) -> Vec<Task> = "tasks.list", Query, [USER AGENT];
    /// What a waiter is to do now. Its subscription is what "waiting" means. A machine asks for the waiters that joined on it.
    GetNextTask(WaiterArgs) -> NextTask = "tasks.getNextTask", Query, [USER MACHINE AGENT];
    /// The task that an agent of the calling machine holds, as a delivery into its session is followed.
    GetHeld(HeldArgs) -> HeldTask = "tasks.getHeld", Query, [MACHINE];
    /// Takes a task for a waiter under a new delivery number; the same waiter again gets the same hand-over.
    Claim(ClaimArgs) -> ClaimOutcome = "tasks.claim", Mutation, [USER AGENT];
    /// Gives an unconfirmed hand-over back to the queue (the waiter could not print it).
    GiveBack(TaskArgs) -> TaskWritten = "tasks.giveBack", Mutation, [USER AGENT];
    /// Confirms that the role got its task (any call of the role does; this one does nothing else).
    Confirm(RoleArgs) -> Empty = "tasks.confirm", Mutation, [USER AGENT];
    /// Says that work on the task began.
    Start(TaskArgs) -> TaskWritten = "tasks.start", Mutation, [USER AGENT];
    /// Ends one's own task without handing it on.
    Complete(TaskArgs) -> TaskWritten = "tasks.complete", Mutation, [USER AGENT];
    /// Ends one's own task and gives the next role (or the user) a message, in one transaction.
    Handoff(HandoffArgs) -> HandedOff = "tasks.handoff", Mutation, [USER AGENT];
    /// Puts a held task back into the queue; whoever held it is fenced off.
    Requeue(TaskIdArgs) -> TaskWritten = "tasks.requeue", Mutation, [USER];
    /// Cancels a task that has not ended.
    Cancel(TaskIdArgs) -> TaskWritten = "tasks.cancel", Mutation, [USER];
}

/// Arguments of `tasks.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Only in this state; by default every state that is not an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// Only of this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Arguments that name a role's waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaiterArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// The waiting process.
    pub waiter_id: WaiterId,
}

/// Arguments of `tasks.getHeld`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The agent.
    pub agent_id: AgentId,
    /// Its room.
    pub chatroom_id: ChatroomId,
}

/// Answer of `tasks.getHeld`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldTask {
    /// The task; none when the agent holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The number of its hand-over; zero without a task.
    pub delivery: i64,
}

/// Arguments of `tasks.claim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// The waiting process.
    pub waiter_id: WaiterId,
    /// From `tasks.getNextTask`.
    pub task_id: TaskId,
    /// Whether it is said into a live session, which does not wait by itself: the brief then says so, and a reminder comes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
}

/// Answer of `tasks.claim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ClaimOutcome {
    /// It is this waiter's.
    Claimed {
        /// What to print.
        delivery: Box<Delivery>,
    },
    /// It is not to be had (any more): go on waiting.
    Gone,
    /// A newer waiter holds the role; end.
    Superseded {
        /// Why, for a person.
        reason: String,
    },
}

/// Arguments that name a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
}

/// Arguments of a fenced write by the role that holds the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// The task.
    pub task_id: TaskId,
    /// The number of the hand-over, as printed with the task.
    pub delivery: i64,
}

/// Arguments that name a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskIdArgs {
    /// The task.
    pub task_id: TaskId,
}

/// Answer of a write to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskWritten {
    /// Whether it took effect now or before.
    pub write: TaskWrite,
    /// The task after it.
    pub task: Task,
}

/// Arguments of `tasks.handoff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandoffArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// One's own role.
    pub role: String,
    /// One's own task.
    pub task_id: TaskId,
    /// The number of the hand-over, as printed with the task.
    pub delivery: i64,
    /// The role to hand to, or `user`.
    pub next_role: String,
    /// The message: 1 to 100,000 characters.
    pub content: String,
    /// Artifacts of the room that go with it; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<AttachedArtifact>,
}

/// Answer of `tasks.handoff`; a second handoff of the same hand-over gives the first one's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandedOff {
    /// Whether it took effect now or before.
    pub write: TaskWrite,
    /// The message.
    pub message_id: MessageId,
    /// The next role's task; none when handed to the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_task_id: Option<TaskId>,
    /// To whom it went.
    pub next_role: String,
}
