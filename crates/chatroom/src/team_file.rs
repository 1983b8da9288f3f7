//! Teams as people write them: a TOML or JSON file, and changes by flags.
//!
//! What `team show --json` prints is such a file. Whether a team makes sense is for the server to say.

use crate::cli::TeamChange;
use crate::error::refused;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_protocol::room::{Team, TeamRole, USER_ROLE};
use serde::Deserialize;

/// What a new role is told when nobody says anything else.
const INSTRUCTIONS: &str = "Do what the task asks, check that it works, and say what you did.";

/// A team as it stands in a file. A word that is not known is a mistake of whoever wrote it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TeamFile {
    #[serde(default)]
    name: Option<String>,
    roles: Vec<RoleFile>,
    /// The first role when absent.
    #[serde(default, alias = "entry_role", alias = "entry-role")]
    entry_role: Option<String>,
    /// As printed by `team show --json`; means nothing here.
    #[serde(default, rename = "builtIn")]
    _built_in: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RoleFile {
    name: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default, alias = "hands_to", alias = "hands-to")]
    hands_to: Option<Vec<String>>,
}

/// Reads a team: JSON when it begins like that, else TOML. `name` counts more than the file's; `file` is for messages.
///
/// # Errors
/// A refusal with what the parser says.
pub(crate) fn read(text: &str, name: &str, file: &str) -> Result<Team> {
    let wrong = |error: String| {
        refused(format!("{} does not hold a team", one_line(file)))
            .hint("write it as `chatroom team show duo --json` prints one")
            .caused_by(error)
    };
    let read: TeamFile = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(text).map_err(|error| wrong(error.to_string()))?
    };
    if let Some(own) = read.name.filter(|own| !own.eq_ignore_ascii_case(name)) {
        let message = format!("{} holds the team {}, not {}", one_line(file), one_line(&own), one_line(name));
        return Err(refused(message).hint("give the name that stands in the file, or take it out there").into());
    }
    let mut team = Team { name: name.to_owned(), roles: Vec::new(), entry_role: read.entry_role.unwrap_or_default() };
    for role in read.roles {
        let title = role.title.unwrap_or_else(|| title_of(&role.name));
        let instructions = role.instructions.unwrap_or_else(|| INSTRUCTIONS.to_owned());
        team.roles.push(TeamRole { name: role.name, title, instructions, hands_to: role.hands_to.unwrap_or_default() });
    }
    complete(&mut team);
    Ok(team)
}

/// Changes a team as the flags say.
///
/// # Errors
/// A refusal that names the flag that is not understood or names no role.
pub(crate) fn change(team: &mut Team, change: &TeamChange, remove: &[String]) -> Result<()> {
    for name in remove {
        let name = find(team, name)?.name.clone();
        team.roles.retain(|role| role.name != name);
        for role in &mut team.roles {
            role.hands_to.retain(|target| *target != name);
        }
        if team.entry_role == name {
            team.entry_role.clear();
        }
    }
    for name in &change.role {
        let name = name.trim().to_lowercase();
        if team.role(&name).is_some() {
            return Err(refused(format!("the team has a role {} already", one_line(&name))).into());
        }
        let (title, instructions) = (title_of(&name), INSTRUCTIONS.to_owned());
        team.roles.push(TeamRole { name, title, instructions, hands_to: Vec::new() });
    }
    for text in &change.title {
        let (role, title) = of_role(text, "--title=ROLE:TEXT")?;
        find(team, role)?.title = title.to_owned();
    }
    for text in &change.instructions {
        let (role, instructions) = of_role(text, "--instructions=ROLE:TEXT")?;
        find(team, role)?.instructions = instructions.to_owned();
    }
    for text in &change.hands_to {
        let (role, targets) = of_role(text, "--hands-to=ROLE:ROLE,ROLE")?;
        let targets = targets.split(',').map(|target| target.trim().to_lowercase()).collect();
        find(team, role)?.hands_to = targets;
    }
    if let Some(entry) = &change.entry {
        team.entry_role = find(team, entry)?.name.clone();
    }
    complete(team);
    Ok(())
}

/// What was left out: a role that hands to nobody hands to everybody else and the person; messages go to the first role.
fn complete(team: &mut Team) {
    let names: Vec<String> = team.roles.iter().map(|role| role.name.trim().to_lowercase()).collect();
    for role in team.roles.iter_mut().filter(|role| role.hands_to.is_empty()) {
        role.hands_to = names.iter().filter(|name| **name != role.name.trim().to_lowercase()).cloned().collect();
        role.hands_to.push(USER_ROLE.to_owned());
    }
    if team.entry_role.is_empty() {
        team.entry_role = names.first().cloned().unwrap_or_default();
    }
}

fn find<'a>(team: &'a mut Team, name: &str) -> Result<&'a mut TeamRole> {
    let (wanted, names) = (name.trim().to_lowercase(), team.role_names());
    match team.roles.iter_mut().find(|role| role.name == wanted) {
        Some(role) => Ok(role),
        None => Err(refused(format!("the team has no role {}", one_line(name)))
            .hint(format!("its roles are: {}", one_line(&names)))
            .into()),
    }
}

fn of_role<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str)> {
    text.split_once(':')
        .ok_or_else(|| refused(format!("`{}` names no role", one_line(text))).hint(format!("write {form}")).into())
}

/// `builder` is called `Builder`.
fn title_of(name: &str) -> String {
    let name = name.trim();
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::{change, read};
    use crate::cli::TeamChange;
    use chatroom_protocol::room::Team;

    const TOML: &str = r#"
        entry-role = "lead"
        [[roles]]
        name = "lead"
        instructions = "Plan."
        hands_to = ["maker"]
        [[roles]]
        name = "maker"
    "#;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn what_is_left_out_of_a_file_is_made_up() {
        let team = read(TOML, "crew", "crew.toml").unwrap();
        assert_eq!((team.entry_role.as_str(), team.roles[1].title.as_str()), ("lead", "Maker"));
        assert_eq!((&team.roles[0].hands_to, &team.roles[1].hands_to), (&words(&["maker"]), &words(&["lead", "user"])));
    }

    #[test]
    fn what_is_printed_as_json_is_read_back() {
        let team = read(TOML, "crew", "crew.toml").unwrap();
        let mut printed = serde_json::to_value(&team).unwrap();
        printed["builtIn"] = false.into();
        assert_eq!(read(&printed.to_string(), "crew", "crew.json").unwrap(), team);
        let other = read(&printed.to_string(), "band", "crew.json").unwrap_err().to_string();
        assert_eq!(other, "crew.json holds the team crew, not band");
    }

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        let error = read("roles = []\ncolour = 1", "crew", "crew.toml").unwrap_err();
        assert!(format!("{error:?}").contains("colour"), "{error:?}");
    }

    #[test]
    fn flags_change_a_team_role_by_role() {
        let mut team = Team { name: "crew".to_owned(), roles: Vec::new(), entry_role: String::new() };
        let flags = TeamChange {
            role: words(&["Lead", "maker", "tester"]),
            hands_to: words(&["lead:maker, Tester"]),
            instructions: words(&["maker:Make: it."]),
            ..TeamChange::default()
        };
        change(&mut team, &flags, &[]).unwrap();
        assert_eq!(team.entry_role, "lead");
        assert_eq!(team.roles[0].hands_to, words(&["maker", "tester"]));
        assert_eq!(team.roles[1].instructions, "Make: it.");
        change(&mut team, &TeamChange::default(), &words(&["tester"])).unwrap();
        assert_eq!(team.roles[0].hands_to, words(&["maker"]));
        let unknown = TeamChange { entry: Some("boss".to_owned()), ..TeamChange::default() };
        assert_eq!(change(&mut team, &unknown, &[]).unwrap_err().to_string(), "the team has no role boss");
    }
}
