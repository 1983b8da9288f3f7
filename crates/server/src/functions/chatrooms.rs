//! `chatrooms.*`: rooms, and the two questions that every function of a room asks first: whose it is, and which role is meant.

use super::{teams, text};
use crate::caller::Caller;
use crate::fail::{Result, refuse};
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::{Tx, chatrooms};
use chatroom_protocol::api::chatrooms::{Archive, Create, CreateArgs, Get, List};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::room::{Chatroom, TeamRole};
use chatroom_protocol::{ErrorCode, Refusal};

/// Rooms of one user that are not archived.
pub const MAX_ROOMS: i64 = 1000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Create>(|cx, args| Box::pin(create(cx, args)));
    registry.query::<List>(
        |caller, _| caller.user_id().map(|id| vec![Topic::Chatrooms(id.clone())]).unwrap_or_default(),
        |cx, _| Box::pin(list(cx)),
    );
    registry
        .query::<Get>(|_, args| vec![Topic::Chatroom(args.chatroom_id.clone())], |cx, args| Box::pin(get(cx, args)));
    registry.mutation::<Archive>(|cx, args| Box::pin(archive(cx, args)));
}

/// The room of this id, archived or not, if the caller may know of it.
///
/// # Errors
/// `not_found` when there is none, or it is somebody else's, or not the calling agent's.
pub async fn find_own(tx: &mut Tx, caller: &Caller, id: &ChatroomId) -> Result<Chatroom> {
    caller.may_name_chatroom(id)?;
    match chatrooms::find(tx, caller.user_id()?, id).await? {
        Some(room) => Ok(room),
        None => Err(Refusal::not_found("chatroom").into()),
    }
}

/// The role of this name in a room's team.
///
/// # Errors
/// `unknown_role`, with the roles that there are.
pub fn find_role<'a>(room: &'a Chatroom, name: &str) -> Result<&'a TeamRole> {
    match room.team.role(name) {
        Some(role) => Ok(role),
        None => Err(Refusal::new(
            ErrorCode::UnknownRole,
            format!("the team of this room has no role {:?}", name.trim().to_lowercase()),
        )
        .hint(format!("its roles are: {}", room.team.role_names()))
        .into()),
    }
}

/// Refuses what an archived room does not take any more.
///
/// # Errors
/// `conflict` when the room is archived.
pub fn refuse_archived(room: &Chatroom) -> Result<()> {
    match room.archived_at {
        None => Ok(()),
        Some(_) => refuse(
            ErrorCode::Conflict,
            "this chatroom is archived; it takes no more messages and hands out no more tasks",
        ),
    }
}

async fn create(cx: &mut MutationCx, args: CreateArgs) -> Result<Chatroom> {
    let user_id = cx.caller.user_id()?.clone();
    let name = text::name(&args.name)?;
    let team = teams::find(&mut cx.tx, &cx.caller, &args.team).await?;
    if chatrooms::count(&mut cx.tx, &user_id).await? >= MAX_ROOMS {
        return Err(Refusal::new(ErrorCode::LimitReached, format!("there are {MAX_ROOMS} chatrooms already"))
            .hint("archive one that is not needed any more: `chatroom room archive --chatroom-id=ID`")
            .into());
    }
    let room = Chatroom { chatroom_id: secret::new_id(), name, team, created_at: cx.now, archived_at: None };
    chatrooms::insert(&mut cx.tx, &user_id, &room).await?;
    Ok(room)
}

async fn list(cx: &mut QueryCx) -> Result<Vec<Chatroom>> {
    Ok(chatrooms::list(&mut cx.tx, cx.caller.user_id()?).await?)
}

async fn get(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Chatroom> {
    find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await
}

async fn archive(cx: &mut MutationCx, args: ChatroomArgs) -> Result<Chatroom> {
    find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    // Archived already is as good as archived now.
    chatrooms::archive(&mut cx.tx, cx.caller.user_id()?, &args.chatroom_id, cx.now).await?;
    find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await
}
