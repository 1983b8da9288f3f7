//! `contexts.*`: what a role needs to know now, and from where on a room's conversation counts.

use super::artifacts::text_of;
use super::author::author;
use super::chatrooms::{find_own, find_role, refuse_archived};
use super::messages::cli_path;
use super::participants::agent_of;
use super::text;
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::prompt;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::contexts::{self, NewContext};
use crate::store::messages::Bound;
use crate::store::{Tx, artifacts, messages, tasks};
use chatroom_protocol::Refusal;
use chatroom_protocol::api::contexts::{Create, CreateArgs, List, Read, ReadArgs, RoleContext};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::room::{Artifact, ArtifactRef, Context, Message};

/// Characters of a context's text.
const CONTENT_CHARS: usize = 20_000;
/// Contexts that one answer lists.
const LISTED: i64 = 50;
/// Artifacts that one answer lists.
const LISTED_ARTIFACTS: usize = 50;
/// Messages of one answer: how many unless told, and at most.
const MESSAGES: i64 = 30;
const MAX_MESSAGES: i64 = 100;
/// Characters of each message, and bytes of all of them.
const MESSAGE_CHARS: i64 = 4_000;
const MESSAGES_BYTES: i64 = 64 * 1024;
/// Characters of an artifact that a brief shows.
const ARTIFACT_CHARS: i64 = 4_000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<Read>(read_topics, |cx, args| Box::pin(read(cx, args)));
    registry.mutation::<Create>(|cx, args| Box::pin(create(cx, args)));
    registry.query::<List>(|_, args| vec![Topic::Desk(args.chatroom_id.clone())], |cx, args| Box::pin(list(cx, args)));
}

fn read_topics(caller: &Caller, args: &ReadArgs) -> Vec<Topic> {
    let room = || args.chatroom_id.clone();
    let mut topics = vec![Topic::Chatroom(room()), Topic::Messages(room()), Topic::Tasks(room()), Topic::Desk(room())];
    topics.extend(caller.user_id().map(|id| Topic::Machines(id.clone())));
    topics
}

/// The context that counts now.
pub(super) async fn current(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Option<Context>> {
    Ok(contexts::list(tx, chatroom_id, 1).await?.pop())
}

/// The artifacts that go with a message, with the beginning of each text.
pub(super) async fn attached(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    refs: &[ArtifactRef],
) -> Result<Vec<prompt::Attached>> {
    let mut all = Vec::new();
    for given in refs {
        // What was removed since is not shown.
        if let Some(artifact) = artifacts::find(tx, chatroom_id, &given.name, Some(given.version)).await? {
            let text = text_of(tx, chatroom_id, &artifact, ARTIFACT_CHARS).await?;
            all.push(prompt::Attached { artifact, text });
        }
    }
    Ok(all)
}

async fn read(cx: &mut QueryCx, args: ReadArgs) -> Result<RoleContext> {
    let limit = args.limit.unwrap_or(MESSAGES);
    if !(1..=MAX_MESSAGES).contains(&limit) {
        return Err(Refusal::bad_request(format!("limit is a number from 1 to {MAX_MESSAGES}")).into());
    }
    cx.caller.may_name_role(&args.chatroom_id, &args.role)?;
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = find_role(&room, &args.role)?;
    let cli = cli_path(&mut cx.tx, &cx.caller, args.machine_id.as_ref()).await?;
    let id = &room.chatroom_id;
    let held = tasks::find_held(&mut cx.tx, id, &role.name).await?;
    // An agent is shown what it was given; a person everything.
    let agent_id = agent_of(&cx.caller);
    let held = held.filter(|row| agent_id.is_none() || row.holder_agent.as_ref() == agent_id);
    let message = match &held {
        Some(row) => messages::find(&mut cx.tx, id, &row.task.message_id).await?,
        None => None,
    };
    let context = current(&mut cx.tx, id).await?;
    let begin = context.as_ref().map_or(0, |context| context.after_sequence);
    let said = said(&mut cx.tx, id, begin, args.before.unwrap_or(i64::MAX), limit).await?;
    let earlier = said.first().map(|first| first.sequence).filter(|first| *first > begin + 1);
    let refs = message.as_ref().map(|message| message.artifacts.as_slice()).unwrap_or_default();
    let with_task = attached(&mut cx.tx, id, refs).await?;
    let since = context.as_ref().map(|context| context.created_at);
    let mut open: Vec<Artifact> = artifacts::list(&mut cx.tx, id, super::artifacts::MAX_NAMES)
        .await?
        .into_iter()
        .filter(|artifact| {
            since.is_none_or(|since| artifact.created_at >= since) || refs.iter().any(|with| with.name == artifact.name)
        })
        .collect();
    open.sort_by_key(|artifact| std::cmp::Reverse(artifact.created_at));
    open.truncate(LISTED_ARTIFACTS);
    let brief = prompt::rebrief(&prompt::Rebrief {
        subject: prompt::Subject { room: &room, role, cli: &cli },
        task: held.as_ref().map(|row| &row.task),
        sequence: held.as_ref().map_or(0, |row| row.position),
        attached: &with_task,
        context: context.as_ref(),
        said: &said,
        earlier,
        artifacts: &open,
        // A started agent gets its tasks said into its session.
        live: agent_id.is_some(),
    });
    Ok(RoleContext {
        role: role.name.clone(),
        task: held.map(|row| row.task),
        message,
        context,
        messages: said,
        earlier,
        artifacts: open,
        brief,
        prompt_version: prompt::VERSION.to_owned(),
    })
}

/// The last messages after `begin` and before `before`; what is cut ends with `…`.
async fn said(tx: &mut Tx, chatroom_id: &ChatroomId, begin: i64, before: i64, limit: i64) -> Result<Vec<Message>> {
    let bound = Bound { rows: limit, bytes: MESSAGES_BYTES, chars: MESSAGE_CHARS + 1 };
    let mut said = messages::list_between(tx, chatroom_id, begin, before, bound).await?;
    for message in &mut said {
        let end = message.content.char_indices().nth(usize::try_from(MESSAGE_CHARS).unwrap_or(usize::MAX));
        if let Some((end, _)) = end {
            message.content.truncate(end);
            message.content.push('…');
        }
    }
    Ok(said)
}

async fn create(cx: &mut MutationCx, args: CreateArgs) -> Result<Context> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    refuse_archived(&room)?;
    let title = text::name(&args.title)?;
    text::check(&args.content, CONTENT_CHARS, "text of the context")?;
    let author_role = author(cx, &room, args.role.as_deref()).await?;
    let new = NewContext {
        context_id: &secret::new_id(),
        chatroom_id: &room.chatroom_id,
        title: &title,
        content: &args.content,
        author_role: &author_role,
    };
    let user_id = cx.caller.user_id()?.clone();
    let context = contexts::insert(&mut cx.tx, &user_id, &new, cx.now).await?;
    Ok(context.ok_or_else(|| Refusal::not_found("chatroom"))?)
}

async fn list(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Vec<Context>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    Ok(contexts::list(&mut cx.tx, &room.chatroom_id, LISTED).await?)
}
