//! `chatroom team`: teams that a room can be made with.

use crate::cli::{Team, TeamChange};
use crate::context::Context;
use crate::error::refused;
use crate::input;
use crate::retry::idempotent;
use crate::team_file;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::Client;
use chatroom_protocol::api::{Empty, teams};
use chatroom_protocol::room;
use std::fmt::Write as _;
use std::path::Path;

/// Runs a `team` command.
pub(crate) async fn run(context: &Context, command: Team) -> Result<()> {
    let client = context.client()?;
    match command {
        Team::List => {
            let list = client.call::<teams::List>(&Empty {}).await?;
            Ok(context.ui.answer(&list, |list| {
                let rows: Vec<_> = list
                    .iter()
                    .map(|listed| &listed.team)
                    .map(|team| [team.name.clone(), team.entry_role.clone(), team.role_names()])
                    .collect();
                table(["TEAM", "ENTRY", "ROLES"], &rows)
            })?)
        }
        Team::Show { name } => {
            let team = client.call::<teams::Get>(&teams::TeamArgs { name }).await?;
            Ok(context.ui.answer(&team, |listed| describe(&listed.team))?)
        }
        Team::Create(create) => {
            let list = client.call::<teams::List>(&Empty {}).await?;
            if list.iter().any(|known| known.team.name == create.name.trim().to_lowercase()) {
                return Err(refused(format!("there is a team {} already", one_line(&create.name)))
                    .hint("change it with `chatroom team edit`, or choose another name")
                    .into());
            }
            let base = match &create.from {
                None => room::Team { name: create.name.clone(), roles: Vec::new(), entry_role: String::new() },
                Some(from) => {
                    let from = client.call::<teams::Get>(&teams::TeamArgs { name: from.clone() }).await?;
                    room::Team { name: create.name.clone(), ..from.team }
                }
            };
            save(context, &client, base, &create.change, &[]).await
        }
        Team::Edit(edit) => {
            let known = client.call::<teams::Get>(&teams::TeamArgs { name: edit.name.clone() }).await?;
            if known.built_in {
                return Err(refused(format!("the team {} comes with chatroom and cannot be changed", known.team.name))
                    .hint(format!("make one of your own from it: chatroom team create NAME --from={}", known.team.name))
                    .into());
            }
            save(context, &client, known.team, &edit.change, &edit.remove_role).await
        }
        Team::Remove { name } => {
            let args = teams::TeamArgs { name };
            let removed = idempotent::<teams::Remove>(&client, &args).await?;
            Ok(context.ui.answer(&removed, |_| {
                format!("team {} is removed; rooms keep their copy of it", one_line(&args.name))
            })?)
        }
    }
}

/// Stores a team as file and flags change it.
async fn save(
    context: &Context,
    client: &Client,
    base: room::Team,
    change: &TeamChange,
    remove: &[String],
) -> Result<()> {
    let mut team = base;
    if let Some(file) = &change.file {
        let text = if file == Path::new("-") { input::read_text()? } else { input::read_file(file)? };
        team = team_file::read(&text, &team.name, &file.display().to_string())?;
    }
    team_file::change(&mut team, change, remove)?;
    let saved = idempotent::<teams::Upsert>(client, &team).await?;
    Ok(context.ui.answer(&saved, |saved| {
        let what = if saved.is_new { "made" } else { "changed; rooms keep their copy until `chatroom room set-team`" };
        format!("team {} is {what}\n\n{}", one_line(&saved.team.name), describe(&saved.team))
    })?)
}

/// A team with what each role does.
pub(crate) fn describe(team: &room::Team) -> String {
    let mut text = format!("team {}, messages go to {}\n", one_line(&team.name), one_line(&team.entry_role));
    for role in &team.roles {
        let _ = writeln!(
            text,
            "\n{} ({}), hands to {}",
            one_line(&role.name),
            one_line(&role.title),
            one_line(&role.hands_to.join(", "))
        );
        for line in role.instructions.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}
