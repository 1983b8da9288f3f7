//! `chatroom send` and `chatroom messages`: what is said in a room.

use crate::cli::{Messages, MessagesList, Send};
use crate::context::Context;
use crate::duration::show;
use crate::input;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::clock;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::messages;
use chatroom_protocol::room::Message;
use std::fmt::Write as _;

/// Sends a message; a lost answer is asked for again, so it is sent once.
pub(crate) async fn send(context: &Context, args: Send) -> Result<()> {
    let content = if args.text == "-" { input::read_message("the message")? } else { args.text };
    let send =
        messages::SendArgs { chatroom_id: args.chatroom_id.into(), role: args.role, content, artifacts: Vec::new() };
    let sent = crate::retry::idempotent::<messages::Send>(&context.client()?, &send).await?;
    Ok(context.ui.answer(&sent, |sent| format!("sent to {} as task {}", sent.role, sent.task_id))?)
}

/// Runs a `messages` command.
pub(crate) async fn run(context: &Context, command: Messages) -> Result<()> {
    let Messages::List(MessagesList { chatroom_id, after, limit }) = command;
    let args = messages::ListArgs { chatroom_id: chatroom_id.into(), after, before: None, limit };
    let list = context.client()?.call::<messages::List>(&args).await?;
    Ok(context.ui.answer(&list, |list| describe(list, clock::now()))?)
}

fn describe(list: &[Message], now: UnixMs) -> String {
    if list.is_empty() {
        return "no messages".to_owned();
    }
    let mut text = String::new();
    for message in list {
        let (from, to) = (one_line(&message.sender_role), one_line(&message.target_role));
        let _ = writeln!(text, "#{} {from} to {to}, {} ago", message.sequence, show(now.since(message.created_at)));
        for line in message.content.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::describe;
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
}
