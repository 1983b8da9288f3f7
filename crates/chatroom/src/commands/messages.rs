//! `chatroom send` and `chatroom messages`: what is said in a room.

use crate::cli::{Messages, MessagesList, Send};
use crate::context::Context;
use crate::duration::show;
use crate::error::refused;
use crate::input;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::{Client, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::messages::{self, AttachedArtifact};
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::room::{Message, MessageKind, ReceiptStage, USER_ROLE};
use std::fmt::Write as _;

/// Sends a message; a lost answer is asked for again, so it is sent once.
pub(crate) async fn send(context: &Context, args: Send) -> Result<()> {
    let content = if args.text == "-" { input::read_message("the message")? } else { args.text };
    let artifacts = attached(&args.attach_artifact)?;
    let send = messages::SendArgs { chatroom_id: args.chatroom_id.into(), role: args.role, content, artifacts };
    let sent = crate::retry::idempotent::<messages::Send>(&context.client()?, &send).await?;
    Ok(context.ui.answer(&sent, |sent| format!("sent to {} as task {}", sent.role, sent.task_id))?)
}

/// Reads artifacts as they are named on the command line: `plan.md` or `plan.md@2`.
///
/// # Errors
/// A refusal that names the one that is not understood.
pub(crate) fn attached(names: &[String]) -> Result<Vec<AttachedArtifact>> {
    let read = |text: &String| {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(AttachedArtifact { name: text.clone(), version: None });
        };
        match version.parse::<i64>() {
            Ok(version) if version > 0 => Ok(AttachedArtifact { name: name.to_owned(), version: Some(version) }),
            _ => Err(refused(format!("`{}` names no version of an artifact", one_line(text)))
                .hint("write it like plan.md or plan.md@2")
                .into()),
        }
    };
    names.iter().map(read).collect()
}

/// Runs a `messages` command.
pub(crate) async fn run(context: &Context, command: Messages) -> Result<()> {
    let Messages::List(MessagesList { chatroom_id, after, before, limit, mark_seen }) = command;
    let args = messages::ListArgs { chatroom_id: chatroom_id.into(), after, before, limit };
    let client = context.client()?;
    let list = client.call::<messages::List>(&args).await?;
    context.ui.answer(&list, |list| describe(list, clock::now()))?;
    match list.last().filter(|_| mark_seen) {
        Some(newest) => see(&client, &args.chatroom_id, newest.sequence).await,
        None => Ok(()),
    }
}

/// Says that the person has seen the messages up to one of them.
pub(crate) async fn see(client: &Client, chatroom_id: &ChatroomId, up_to: i64) -> Result<()> {
    client.call::<messages::MarkSeen>(&messages::MarkSeenArgs { chatroom_id: chatroom_id.clone(), up_to }).await?;
    Ok(())
}

fn describe(list: &[Message], now: UnixMs) -> String {
    if list.is_empty() {
        return "no messages".to_owned();
    }
    let mut text = String::new();
    for message in list {
        let _ = writeln!(text, "{}, {} ago{}", head(message), show(now.since(message.created_at)), stage(message));
        for line in message.content.lines() {
            let _ = writeln!(text, "  {line}");
        }
        for artifact in &message.artifacts {
            let _ = writeln!(text, "  + {}@{}", one_line(&artifact.name), artifact.version);
        }
    }
    text
}

/// Number, from whom and to whom.
pub(crate) fn head(message: &Message) -> String {
    let (from, to) = (one_line(&message.sender_role), one_line(&message.target_role));
    let progress = if message.kind == MessageKind::Progress { " (progress)" } else { "" };
    format!("#{} {from} to {to}{progress}", message.sequence)
}

/// How far it has come.
fn stage(message: &Message) -> String {
    let Some(receipt) = &message.receipt else { return String::new() };
    let stage = match receipt.stage {
        ReceiptStage::Queued if receipt.role == USER_ROLE => "not seen yet",
        ReceiptStage::Queued => "in the queue",
        ReceiptStage::Delivered => "delivered",
        ReceiptStage::Seen => "seen",
        ReceiptStage::Started => "started",
        ReceiptStage::Done => "done",
        ReceiptStage::Cancelled => "cancelled",
    };
    let again = if receipt.delivery > 1 { format!(" (delivery {})", receipt.delivery) } else { String::new() };
    format!(", {stage}{again}")
}

#[cfg(test)]
mod tests {
    use super::{attached, describe};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::room::{Message, MessageKind};

    #[test]
    fn a_message_cannot_pass_for_the_head_of_another() {
        let message = Message {
            message_id: "m".into(),
            chatroom_id: "r".into(),
            sequence: 1,
            kind: MessageKind::Handoff,
            sender_role: "builder".to_owned(),
            target_role: "user".to_owned(),
            content: "done\n#2 user to builder, 1 s ago".to_owned(),
            task_id: None,
            artifacts: Vec::new(),
            receipt: None,
            created_at: UnixMs(0),
        };
        assert_eq!(
            describe(&[message], UnixMs(5_000)),
            "#1 builder to user, 5 s ago\n  done\n  #2 user to builder, 1 s ago\n"
        );
    }

    #[test]
    fn artifacts_are_named_with_or_without_their_version() {
        let read = attached(&["plan.md".to_owned(), "plan.md@2".to_owned()]).unwrap();
        assert_eq!(read.iter().map(|one| one.version).collect::<Vec<_>>(), [None, Some(2)]);
        for wrong in ["plan.md@", "plan.md@new", "plan.md@0"] {
            assert!(attached(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
