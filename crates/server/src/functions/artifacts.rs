//! `artifacts.*`: markdown files of a room, every version of each.

use super::author::author;
use super::chatrooms::find_own;
use super::text;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::store::artifacts::{self, NewVersion};
use crate::store::{StoreError, Tx};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::artifacts::{ArtifactText, Get, GetArgs, List, Put, PutArgs, Remove, RemoveArgs};
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::api::messages::AttachedArtifact;
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::room::{Artifact, ArtifactRef};
use chatroom_protocol::{ErrorCode, Refusal};

/// Bytes of one version.
const MAX_BYTES: usize = 256 * 1024;
/// Characters of a name.
const NAME_CHARS: usize = 100;
/// Names of one room.
pub const MAX_NAMES: i64 = 200;
/// Bytes of all versions of one room.
const MAX_ROOM_BYTES: i64 = 64 * 1024 * 1024;
/// Artifacts that go with one message.
const MAX_ATTACHED: usize = 20;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Put>(|cx, args| Box::pin(put(cx, args)));
    registry.query::<Get>(|_, args| vec![Topic::Desk(args.chatroom_id.clone())], |cx, args| Box::pin(get(cx, args)));
    registry.query::<List>(|_, args| vec![Topic::Desk(args.chatroom_id.clone())], |cx, args| Box::pin(list(cx, args)));
    registry.mutation::<Remove>(|cx, args| Box::pin(remove(cx, args)));
}

/// The versions that a message names; each must be there.
///
/// # Errors
/// `not_found` when one is not; `bad_request` when there are too many, or one twice.
pub(super) async fn resolve(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    attached: &[AttachedArtifact],
) -> Result<Vec<ArtifactRef>> {
    if attached.len() > MAX_ATTACHED {
        return Err(Refusal::bad_request(format!("at most {MAX_ATTACHED} artifacts go with one message")).into());
    }
    let mut resolved: Vec<ArtifactRef> = Vec::new();
    for given in attached {
        if given.version.is_some_and(|version| version < 1) {
            return Err(Refusal::bad_request("versions of artifacts are counted from 1").into());
        }
        let found = find(tx, chatroom_id, &given.name, given.version).await?;
        if resolved.iter().any(|other| other.name == found.name) {
            return Err(Refusal::bad_request(format!("the artifact {} is attached twice", found.name)).into());
        }
        resolved.push(ArtifactRef { name: found.name, version: found.version });
    }
    Ok(resolved)
}

async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, name: &str, version: Option<i64>) -> Result<Artifact> {
    match artifacts::find(tx, chatroom_id, name.trim(), version).await? {
        Some(artifact) => Ok(artifact),
        None => {
            let which = version.map(|version| format!(" in version {version}")).unwrap_or_default();
            Err(Refusal::new(
                ErrorCode::NotFound,
                format!("there is no artifact {:?}{which} in this room", name.trim()),
            )
            .hint("`chatroom artifact list` (`artifacts.list`) tells which there are")
            .into())
        }
    }
}

async fn put(cx: &mut MutationCx, args: PutArgs) -> Result<Artifact> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let name = check_name(&args.name)?;
    check_text(&args.content)?;
    let author_role = author(cx, &room, args.role.as_deref()).await?;
    let before = artifacts::find(&mut cx.tx, &room.chatroom_id, name, None).await?;
    if let Some(newest) = &before {
        let chars = i64::try_from(MAX_BYTES).unwrap_or(i64::MAX);
        let text = artifacts::find_text(&mut cx.tx, &room.chatroom_id, name, newest.version, chars).await?;
        if text.as_ref() == Some(&args.content) {
            return Ok(newest.clone());
        }
    }
    let size = artifacts::measure(&mut cx.tx, &room.chatroom_id).await?;
    if before.is_none() && size.names >= MAX_NAMES {
        return Err(full(format!("this chatroom has {MAX_NAMES} artifacts already")));
    }
    if size.bytes.saturating_add(i64::try_from(args.content.len()).unwrap_or(i64::MAX)) > MAX_ROOM_BYTES {
        return Err(full(format!("the artifacts of this chatroom come to {} MiB", MAX_ROOM_BYTES / (1024 * 1024))));
    }
    let author_id = cx.caller.user_id()?.clone();
    let new = NewVersion {
        chatroom_id: &room.chatroom_id,
        name,
        content: &args.content,
        author_role: &author_role,
        author_id: &author_id,
    };
    let version = artifacts::insert(&mut cx.tx, &new, cx.now).await?;
    find(&mut cx.tx, &room.chatroom_id, name, Some(version)).await
}

async fn get(cx: &mut QueryCx, args: GetArgs) -> Result<ArtifactText> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let artifact = find(&mut cx.tx, &room.chatroom_id, &args.name, args.version).await?;
    let content =
        text_of(&mut cx.tx, &room.chatroom_id, &artifact, i64::try_from(MAX_BYTES).unwrap_or(i64::MAX)).await?;
    Ok(ArtifactText { artifact, content })
}

/// The first characters of a version that was found in the same snapshot.
pub(super) async fn text_of(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    artifact: &Artifact,
    chars: i64,
) -> std::result::Result<String, StoreError> {
    let text = artifacts::find_text(tx, chatroom_id, &artifact.name, artifact.version, chars).await?;
    Ok(text.unwrap_or_default())
}

async fn list(cx: &mut QueryCx, args: ChatroomArgs) -> Result<Vec<Artifact>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    Ok(artifacts::list(&mut cx.tx, &room.chatroom_id, MAX_NAMES).await?)
}

async fn remove(cx: &mut MutationCx, args: RemoveArgs) -> Result<Empty> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    if !artifacts::delete(&mut cx.tx, &room.chatroom_id, args.name.trim(), cx.now).await? {
        return Err(Refusal::not_found("artifact").into());
    }
    Ok(Empty {})
}

/// A name is a plain file name, so that it can be written to a disk as it is.
fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if plain && (4..=NAME_CHARS).contains(&name.len()) && name.ends_with(".md") && !name.starts_with(['.', '-']) {
        return Ok(name);
    }
    Err(Refusal::bad_request(format!("{name:?} cannot be the name of an artifact"))
        .hint("use a-z, A-Z, 0-9, `.`, `_` and `-`, 4 to 100 characters with `.md` at the end, for example `plan.md`")
        .into())
}

fn check_text(content: &str) -> Result<()> {
    if content.len() > MAX_BYTES {
        return Err(Refusal::bad_request(format!(
            "the text has {} bytes; an artifact takes at most {MAX_BYTES}",
            content.len()
        ))
        .hint("divide it, or leave the file where it is and name its path in a message")
        .into());
    }
    text::check(content, MAX_BYTES, "text of the artifact")
}

fn full(message: String) -> crate::fail::Fail {
    Refusal::new(ErrorCode::LimitReached, message)
        .hint("remove one that is not needed any more: `chatroom artifact remove` (`artifacts.remove`)")
        .into()
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn a_name_is_a_plain_file_name() {
        for good in ["a.md", " plan.md ", "Plan_2-final.v3.md"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".md", ".x.md", "-x.md", "plan.txt", "a/b.md", "../x.md", "a b.md", "ä.md", "a\u{1b}.md"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name(&format!("{}.md", "a".repeat(98))).is_err());
    }
}
