//! `teams.*`: named lists of roles.

use super::Empty;
use crate::room::Team;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Lists the teams that a room can be made with.
    List(Empty) -> Vec<Team> = "teams.list", Query, [USER];
    /// Shows a team.
    Get(TeamArgs) -> Team = "teams.get", Query, [USER];
}

/// Arguments that name a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamArgs {
    /// Its name.
    pub name: String,
}
