//! `teams.*`: named lists of roles.

use super::Empty;
use crate::room::Team;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Lists the teams that a room can be made with.
    List(Empty) -> Vec<ListedTeam> = "teams.list", Query, [USER];
    /// Shows a team.
    Get(TeamArgs) -> ListedTeam = "teams.get", Query, [USER];
    /// Makes a team of the user's own, or changes it. Rooms keep the copy that they have until `chatrooms.updateTeam`.
    Upsert(Team) -> TeamSaved = "teams.upsert", Mutation, [USER];
    /// Removes a team of the user's own. Rooms keep the copy that they have.
    Remove(TeamArgs) -> Empty = "teams.remove", Mutation, [USER];
}

/// Arguments that name a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamArgs {
    /// Its name.
    pub name: String,
}

/// A team, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedTeam {
    /// The team.
    #[serde(flatten)]
    pub team: Team,
    /// Whether it comes with chatroom; such a team cannot be changed.
    pub built_in: bool,
}

/// Answer of `teams.upsert`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamSaved {
    /// The team as it was stored: names in lower case, space around them left out.
    pub team: Team,
    /// Whether there was no team of this name before.
    pub is_new: bool,
}
