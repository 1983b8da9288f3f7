//! `chatroom team`: teams that a room can be made with.

use crate::cli::Team;
use crate::context::Context;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_protocol::api::{Empty, teams};
use chatroom_protocol::room;
use std::fmt::Write as _;

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
    }
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
