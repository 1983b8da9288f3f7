//! `teams.*`: named lists of roles. The built-in ones are data (`teams.json`); a user's own come from the store.

use super::text;
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::store::{Tx, teams};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::teams::{Get, List, ListedTeam, Remove, TeamArgs, TeamSaved, Upsert};
use chatroom_protocol::room::{Team, TeamRole, USER_ROLE};
use chatroom_protocol::{ErrorCode, Refusal};
use std::sync::LazyLock;

/// Teams of their own that a user may have.
pub const MAX_TEAMS: i64 = 100;
/// Roles of a team.
const MAX_ROLES: usize = 16;
/// Characters of the names of teams and roles.
const NAME_CHARS: usize = 40;
/// Characters of what a role is to do.
const INSTRUCTIONS_CHARS: usize = 20_000;

static BUILT_IN: LazyLock<Vec<Team>> =
    LazyLock::new(|| serde_json::from_str(include_str!("teams.json")).expect("teams.json is ours and is tested"));

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<List>(own_teams, |cx, _| Box::pin(list(cx)));
    registry.query::<Get>(own_teams, |cx, args| Box::pin(get(cx, args)));
    registry.mutation::<Upsert>(|cx, team| Box::pin(upsert(cx, team)));
    registry.mutation::<Remove>(|cx, args| Box::pin(remove(cx, args)));
}

fn own_teams<A>(caller: &Caller, _: &A) -> Vec<Topic> {
    caller.user_id().map(|id| vec![Topic::Chatrooms(id.clone())]).unwrap_or_default()
}

/// The team of this name that this caller may use.
///
/// # Errors
/// `unknown_team`, with the names that there are.
pub async fn find(tx: &mut Tx, caller: &Caller, name: &str) -> Result<Team> {
    let all = all(tx, caller).await?;
    let wanted = name.trim().to_lowercase();
    match all.iter().find(|team| team.name == wanted) {
        Some(team) => Ok(team.clone()),
        None => {
            let names = all.iter().map(|team| team.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(Refusal::new(ErrorCode::UnknownTeam, format!("there is no team {name:?}"))
                .hint(format!("choose one of: {names}"))
                .into())
        }
    }
}

async fn list(cx: &mut QueryCx) -> Result<Vec<ListedTeam>> {
    let caller = cx.caller.clone();
    Ok(all(&mut cx.tx, &caller).await?.into_iter().map(listed).collect())
}

async fn get(cx: &mut QueryCx, args: TeamArgs) -> Result<ListedTeam> {
    let caller = cx.caller.clone();
    find(&mut cx.tx, &caller, &args.name).await.map(listed)
}

async fn upsert(cx: &mut MutationCx, team: Team) -> Result<TeamSaved> {
    let user_id = cx.caller.user_id()?.clone();
    let team = check(team)?;
    let is_new = !teams::list(&mut cx.tx, &user_id).await?.iter().any(|own| own.name == team.name);
    if is_new && teams::count(&mut cx.tx, &user_id).await? >= MAX_TEAMS {
        return Err(Refusal::new(ErrorCode::LimitReached, format!("there are {MAX_TEAMS} teams already"))
            .hint("remove one that is not needed any more: `chatroom team remove` (`teams.remove`)")
            .into());
    }
    teams::upsert(&mut cx.tx, &user_id, &team, cx.now).await?;
    Ok(TeamSaved { team, is_new })
}

async fn remove(cx: &mut MutationCx, args: TeamArgs) -> Result<Empty> {
    let user_id = cx.caller.user_id()?.clone();
    let name = args.name.trim().to_lowercase();
    refuse_built_in(&name)?;
    if !teams::delete(&mut cx.tx, &user_id, &name).await? {
        return Err(Refusal::not_found("team").hint("`chatroom team list` shows which there are").into());
    }
    Ok(Empty {})
}

/// A team as it is stored, if it makes sense.
fn check(team: Team) -> Result<Team> {
    let name = check_name("team", &team.name)?;
    refuse_built_in(&name)?;
    if !(1..=MAX_ROLES).contains(&team.roles.len()) {
        return Err(bad(format!("a team has 1 to {MAX_ROLES} roles; this one has {}", team.roles.len())));
    }
    let mut roles: Vec<TeamRole> = Vec::new();
    for role in team.roles {
        let name = check_name("role", &role.name)?;
        if name == USER_ROLE {
            return Err(bad(format!("no role can be named {USER_ROLE}: that is the person")));
        }
        if roles.iter().any(|other| other.name == name) {
            return Err(bad(format!("the role {name} stands there twice")));
        }
        let title = text::name(&role.title)?;
        text::check(&role.instructions, INSTRUCTIONS_CHARS, &format!("instructions of {name}"))?;
        let mut hands_to: Vec<String> = Vec::new();
        for target in &role.hands_to {
            let target = target.trim().to_lowercase();
            if !hands_to.contains(&target) {
                hands_to.push(target);
            }
        }
        roles.push(TeamRole { name, title, instructions: role.instructions, hands_to });
    }
    for role in &roles {
        if role.hands_to.is_empty() {
            return Err(bad(format!("{} hands to nobody; name a role, or {USER_ROLE}", role.name)));
        }
        for target in &role.hands_to {
            if *target == role.name {
                return Err(bad(format!("{target} cannot hand to itself")));
            }
            if target != USER_ROLE && !roles.iter().any(|other| other.name == *target) {
                return Err(bad(format!(
                    "{} hands to {target:?}, which is neither a role of this team nor {USER_ROLE}",
                    role.name
                )));
            }
        }
    }
    let entry_role = team.entry_role.trim().to_lowercase();
    if !roles.iter().any(|role| role.name == entry_role) {
        return Err(bad(format!("the entry role {entry_role:?} is not a role of this team")));
    }
    Ok(Team { name, roles, entry_role })
}

/// The name of a team or role: it stands in commands and addresses.
fn check_name(noun: &str, name: &str) -> Result<String> {
    let name = name.trim().to_lowercase();
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if plain && (1..=NAME_CHARS).contains(&name.len()) && !name.starts_with('-') {
        return Ok(name);
    }
    Err(bad(format!("{name:?} cannot be the name of a {noun}: use a-z, 0-9 and `-`, at most {NAME_CHARS} characters")))
}

fn refuse_built_in(name: &str) -> Result<()> {
    if BUILT_IN.iter().any(|team| team.name == name) {
        return Err(Refusal::new(
            ErrorCode::Conflict,
            format!("the team {name} comes with chatroom and cannot be changed"),
        )
        .hint("choose another name; `chatroom team show` (`teams.get`) shows its definition to begin with")
        .into());
    }
    Ok(())
}

fn bad(message: String) -> crate::fail::Fail {
    Refusal::bad_request(message).into()
}

fn listed(team: Team) -> ListedTeam {
    ListedTeam { built_in: BUILT_IN.iter().any(|built_in| built_in.name == team.name), team }
}

/// The built-in teams, then the user's own; a built-in name means the built-in team.
async fn all(tx: &mut Tx, caller: &Caller) -> Result<Vec<Team>> {
    let mut all = BUILT_IN.clone();
    for own in teams::list(tx, caller.user_id()?).await? {
        if !all.iter().any(|team| team.name == own.name) {
            all.push(own);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::BUILT_IN;
    use chatroom_protocol::room::USER_ROLE;

    #[test]
    fn the_built_in_teams_are_the_four_that_were_promised() {
        let teams: Vec<String> =
            BUILT_IN.iter().map(|team| format!("{}({}; {})", team.name, team.role_names(), team.entry_role)).collect();
        insta::assert_snapshot!(teams.join(" "), @"solo(builder; builder) duo(planner, builder; planner) pair(builder, reviewer; builder) squad(planner, builder, reviewer; planner)");
    }

    #[test]
    fn every_role_hands_to_somebody_who_is_there_and_can_be_reached() {
        for team in BUILT_IN.iter() {
            assert!(team.role(&team.entry_role).is_some(), "{}", team.name);
            for role in &team.roles {
                assert_eq!(role.name, role.name.to_lowercase());
                assert!(!role.hands_to.is_empty(), "{} of {} can only stop", role.name, team.name);
                for target in &role.hands_to {
                    assert_ne!(target, &role.name);
                    assert!(target == USER_ROLE || team.role(target).is_some(), "{target} of {}", team.name);
                    assert!(role.instructions.contains(&format!("`{target}`")) || target == "builder", "{}", role.name);
                }
                let reached =
                    role.name == team.entry_role || team.roles.iter().any(|other| other.hands_to.contains(&role.name));
                assert!(reached, "nobody hands to {} of {}", role.name, team.name);
            }
            assert!(team.roles.iter().any(|role| role.hands_to.iter().any(|to| to == USER_ROLE)), "{}", team.name);
        }
    }
}
