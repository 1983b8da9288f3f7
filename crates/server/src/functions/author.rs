//! In whose name something is written in a room: the person's, or a role's.

use super::chatrooms::find_role;
use super::participants::agent_of;
use crate::caller::Caller;
use crate::fail::Result;
use crate::registry::MutationCx;
use crate::store::tasks;
use chatroom_protocol::room::{Chatroom, USER_ROLE};

/// The role that writes, or `user`: an agent writes as its own role, a user as the person or by hand as any role. What a role
/// writes is a sign of work: the task that it holds is started.
///
/// # Errors
/// `not_found` when an agent names another role; `unknown_role` when the team has no such role.
pub(super) async fn author(cx: &mut MutationCx, room: &Chatroom, told: Option<&str>) -> Result<String> {
    let name = match (told, &cx.caller) {
        (Some(told), caller) => {
            caller.may_name_role(&room.chatroom_id, told)?;
            told
        }
        (None, Caller::Agent { role, .. }) => role,
        (None, _) => USER_ROLE,
    };
    if name.trim().eq_ignore_ascii_case(USER_ROLE) {
        return Ok(USER_ROLE.to_owned());
    }
    let name = find_role(room, name)?.name.clone();
    let agent_id = agent_of(&cx.caller).cloned();
    tasks::mark_worked(&mut cx.tx, &room.chatroom_id, &name, agent_id.as_ref(), cx.now).await?;
    Ok(name)
}
