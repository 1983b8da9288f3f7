//! `chatroom artifact`: markdown files of a room.

use crate::cli::Artifact as ArtifactCommand;
use crate::context::Context;
use crate::duration::show;
use crate::error::refused;
use crate::input;
use crate::retry::idempotent;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::clock;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::artifacts;
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::room::Artifact;
use std::path::Path;

/// Runs an `artifact` command.
pub(crate) async fn run(context: &Context, command: ArtifactCommand) -> Result<()> {
    let (client, ui) = (context.client()?, context.ui);
    match command {
        ArtifactCommand::Put { chatroom_id, role, name, file } => {
            let (name, content) = read(name, &file)?;
            let args = artifacts::PutArgs { chatroom_id: chatroom_id.into(), role, name, content };
            let artifact = idempotent::<artifacts::Put>(&client, &args).await?;
            Ok(ui.answer(&artifact, |artifact| format!("{}@{}", artifact.name, artifact.version))?)
        }
        ArtifactCommand::Get { chatroom_id, name, version } => {
            let args = artifacts::GetArgs { chatroom_id: chatroom_id.into(), name, version };
            let text = client.call::<artifacts::Get>(&args).await?;
            Ok(ui.answer(&text, |text| text.content.clone())?)
        }
        ArtifactCommand::List(room) => {
            let list = client.call::<artifacts::List>(&ChatroomArgs { chatroom_id: room.chatroom_id.into() }).await?;
            Ok(ui.answer(&list, |list| describe(list, clock::now()))?)
        }
        ArtifactCommand::Remove { chatroom_id, name } => {
            let args = artifacts::RemoveArgs { chatroom_id: chatroom_id.into(), name };
            let removed = idempotent::<artifacts::Remove>(&client, &args).await?;
            Ok(ui.answer(&removed, |_| format!("{} is removed", one_line(&args.name)))?)
        }
    }
}

fn read(name: Option<String>, file: &Path) -> Result<(String, String)> {
    if file == Path::new("-") {
        let name =
            name.ok_or_else(|| refused("what is read from standard input has no name").hint("give --name=NAME.md"))?;
        return Ok((name, input::read_text()?));
    }
    let content = input::read_file(file)?;
    let own = || file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name =
        name.or_else(own).ok_or_else(|| refused("the file has no name that is text").hint("give --name=NAME.md"))?;
    Ok((name, content))
}

/// A table of artifacts.
pub(crate) fn describe(list: &[Artifact], now: UnixMs) -> String {
    if list.is_empty() {
        return "no artifacts".to_owned();
    }
    let row = |artifact: &Artifact| {
        [
            artifact.name.clone(),
            artifact.version.to_string(),
            artifact.bytes.to_string(),
            format!("{} ({})", artifact.author_role, artifact.author_name),
            show(now.since(artifact.created_at)),
        ]
    };
    table(["NAME", "VERSION", "BYTES", "BY", "AGE"], &list.iter().map(row).collect::<Vec<_>>())
}
