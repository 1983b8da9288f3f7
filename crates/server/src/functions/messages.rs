//! `messages.*`: what is said in a room, and the init prompt.

use super::chatrooms::{find_own, find_role, refuse_archived};
use super::text;
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::prompt;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::messages::{self, NewMessage};
use crate::store::tasks::{self, NewTask};
use crate::store::{Tx, machines};
use chatroom_protocol::api::messages::{
    GetInitPrompt, GetInitPromptArgs, InitPrompt, List, ListArgs, Send, SendArgs, Sent,
};
use chatroom_protocol::id::{MachineId, MessageId, TaskId};
use chatroom_protocol::room::{Message, MessageKind, USER_ROLE};
use chatroom_protocol::{ErrorCode, Refusal};

/// Tasks of one room that have not ended.
pub const MAX_OPEN_TASKS: i64 = 1000;
/// The CLI's name where nobody knows its path.
const PLAIN_CLI: &str = "chatroom";

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Send>(|cx, args| Box::pin(send(cx, args)));
    registry
        .query::<List>(|_, args| vec![Topic::Messages(args.chatroom_id.clone())], |cx, args| Box::pin(list(cx, args)));
    registry.query::<GetInitPrompt>(
        |caller, args| {
            let machines = caller.user_id().map(|id| Topic::Machines(id.clone()));
            [Ok(Topic::Chatroom(args.chatroom_id.clone())), machines].into_iter().flatten().collect()
        },
        |cx, args| Box::pin(get_init_prompt(cx, args)),
    );
}

/// How commands name the CLI: by its path on the caller's machine, or on the one that was told; plainly when there is none.
///
/// # Errors
/// `not_found` when a machine was told that is not the caller's.
pub async fn cli_path(tx: &mut Tx, caller: &Caller, told: Option<&MachineId>) -> Result<String> {
    let machine_id = match (told, caller) {
        (Some(told), _) => {
            caller.may_name_machine(told)?;
            told
        }
        (None, Caller::Machine { machine_id, .. } | Caller::Agent { machine_id, .. }) => machine_id,
        (None, _) => return Ok(PLAIN_CLI.to_owned()),
    };
    match machines::find(tx, caller.user_id()?, machine_id).await? {
        Some(machine) => Ok(machine.facts.cli_path),
        None => Err(Refusal::not_found("machine").into()),
    }
}

async fn send(cx: &mut MutationCx, args: SendArgs) -> Result<Sent> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    refuse_archived(&room)?;
    let role = find_role(&room, args.role.as_deref().unwrap_or(&room.team.entry_role))?;
    text::check_content(&args.content)?;
    if tasks::count_open(&mut cx.tx, &room.chatroom_id).await? >= MAX_OPEN_TASKS {
        return Err(Refusal::new(
            ErrorCode::LimitReached,
            format!("{MAX_OPEN_TASKS} tasks of this chatroom have not ended yet"),
        )
        .hint("wait until some are done, or cancel some: `chatroom task cancel TASK_ID`")
        .into());
    }
    let (message_id, task_id): (MessageId, TaskId) = (secret::new_id(), secret::new_id());
    let message = NewMessage {
        message_id: &message_id,
        chatroom_id: &room.chatroom_id,
        kind: MessageKind::Message,
        sender_role: USER_ROLE,
        target_role: &role.name,
        content: &args.content,
        task_id: Some(&task_id),
    };
    let user_id = cx.caller.user_id()?.clone();
    let Some(position) = messages::insert(&mut cx.tx, &user_id, &message, true, cx.now).await? else {
        return Err(Refusal::not_found("chatroom").into());
    };
    let task = NewTask {
        task_id: &task_id,
        chatroom_id: &room.chatroom_id,
        role: &role.name,
        position,
        message_id: &message_id,
        from_role: USER_ROLE,
        content: &args.content,
    };
    tasks::insert(&mut cx.tx, &task, cx.now).await?;
    let role = role.name.clone();
    Ok(Sent { message_id, task_id, role })
}

async fn list(cx: &mut QueryCx, args: ListArgs) -> Result<Vec<Message>> {
    let limit = args.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::bad_request("limit is a number from 1 to 200").into());
    }
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    Ok(match args.after {
        Some(after) => messages::list_after(&mut cx.tx, &room.chatroom_id, after, limit).await?,
        None => messages::list_before(&mut cx.tx, &room.chatroom_id, i64::MAX, limit).await?,
    })
}

async fn get_init_prompt(cx: &mut QueryCx, args: GetInitPromptArgs) -> Result<InitPrompt> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = find_role(&room, &args.role)?;
    let cli = cli_path(&mut cx.tx, &cx.caller, args.machine_id.as_ref()).await?;
    let prompt = prompt::init(&prompt::Subject { room: &room, role, cli: &cli });
    Ok(InitPrompt { prompt, version: prompt::VERSION.to_owned() })
}
