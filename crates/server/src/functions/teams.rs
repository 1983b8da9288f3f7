//! `teams.*`: named lists of roles. The built-in ones are data (`teams.json`); a user's own come from the store.

use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{QueryCx, Registry};
use crate::store::{Tx, teams};
use chatroom_protocol::api::teams::{Get, List, TeamArgs};
use chatroom_protocol::room::Team;
use chatroom_protocol::{ErrorCode, Refusal};
use std::sync::LazyLock;

static BUILT_IN: LazyLock<Vec<Team>> =
    LazyLock::new(|| serde_json::from_str(include_str!("teams.json")).expect("teams.json is ours and is tested"));

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<List>(own_teams, |cx, _| Box::pin(list(cx)));
    registry.query::<Get>(own_teams, |cx, args| Box::pin(get(cx, args)));
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

async fn list(cx: &mut QueryCx) -> Result<Vec<Team>> {
    let caller = cx.caller.clone();
    all(&mut cx.tx, &caller).await
}

async fn get(cx: &mut QueryCx, args: TeamArgs) -> Result<Team> {
    let caller = cx.caller.clone();
    find(&mut cx.tx, &caller, &args.name).await
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
