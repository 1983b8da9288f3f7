//! `permissions.*`: what agents ask for, and who answers.

use super::Empty;
use crate::id::{AgentId, ChatroomId, PermissionId, RuleId};
use crate::permission::{Permission, Rule, RuleMatch};
use crate::time::UnixMs;
use crate::transcript::Choice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Lists permission requests, oldest first: those that wait for an answer, or also the newest 200 that have their end.
    List(ListArgs) -> Vec<Permission> = "permissions.list", Query, [USER];
    /// Answers a permission request. The first answer counts; another one is refused with it.
    Answer(AnswerArgs) -> Permission = "permissions.answer", Mutation, [USER];
    /// Lists the rules of a room that count, newest first.
    ListRules(RulesArgs) -> Vec<Rule> = "permissions.listRules", Query, [USER];
    /// Adds a rule to a room; requests that wait and fit are answered at once.
    AddRule(AddRuleArgs) -> Rule = "permissions.addRule", Mutation, [USER];
    /// Removes a rule.
    RemoveRule(RuleArgs) -> Empty = "permissions.removeRule", Mutation, [USER];
}

/// Arguments of `permissions.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListArgs {
    /// Only of this room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chatroom_id: Option<ChatroomId>,
    /// Only of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Those that have their end too.
    #[serde(default)]
    pub include_ended: bool,
}

/// Arguments of `permissions.answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswerArgs {
    /// Which request.
    pub permission_id: PermissionId,
    /// What to answer. What the request does not offer becomes the nearest narrower answer; a yes that it does not offer is refused.
    pub choice: Choice,
}

/// Arguments of `permissions.listRules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RulesArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
}

/// Arguments of `permissions.addRule`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddRuleArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Only this role; every role when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it answers.
    pub allow: bool,
    /// To what.
    #[serde(flatten)]
    pub matches: RuleMatch,
    /// Until when it counts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMs>,
}

/// Arguments that name a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleArgs {
    /// Which rule.
    pub rule_id: RuleId,
}
