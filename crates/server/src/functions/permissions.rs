//! `permissions.*`: what agents ask for, and the rules that answer by themselves.
//!
//! A request has one answer: the first that anybody gives (its owner, a rule, time, or the agent's own host). The answer and the
//! input that brings it to the agent are written together, by `decide` alone.

use super::chatrooms::{find_own, find_role, refuse_archived};
use super::inputs::own_agent;
use super::outcome::By;
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::inputs::{self, Bound};
use crate::store::permissions::{self, Filter, Row};
use crate::store::{self, Tx, rules};
use chatroom_protocol::agent::{AgentInput, Input, InputState};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::permissions::{
    AddRule, AddRuleArgs, Answer, AnswerArgs, List, ListArgs, ListRules, RemoveRule, RuleArgs, RulesArgs,
};
use chatroom_protocol::id::PermissionId;
use chatroom_protocol::permission::{Permission, PermissionState, Rule};
use chatroom_protocol::transcript::{Choice, Decider, PermissionOption};
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};

/// What one list holds of the requests that wait, and as much of those that have their end.
const LISTED: Bound = Bound { rows: 200, bytes: 1024 * 1024 };
/// Rules of one room.
const RULES: usize = 200;
/// Waiting requests that are held against rules at once.
const BATCH: i64 = 100;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<List>(own_permissions, |cx, args| Box::pin(list(cx, args)));
    registry.mutation::<Answer>(|cx, args| Box::pin(answer(cx, args)));
    registry.query::<ListRules>(own_permissions, |cx, args| Box::pin(list_rules(cx, args)));
    registry.mutation::<AddRule>(|cx, args| Box::pin(add_rule(cx, args)));
    registry.mutation::<RemoveRule>(|cx, args| Box::pin(remove_rule(cx, args)));
}

fn own_permissions<A>(caller: &Caller, _: &A) -> Vec<Topic> {
    caller.user_id().map(|id| vec![Topic::Permissions(id.clone())]).unwrap_or_default()
}

/// Answers a request and sends the answer to its agent. False, and nothing changed, when it has its end already.
pub(crate) async fn decide(tx: &mut Tx, row: &Row, choice: Choice, by: Decider, now: UnixMs) -> store::Result<bool> {
    let permission = &row.permission;
    if !permissions::answer(tx, &permission.permission_id, choice, by, now).await? {
        return Ok(false);
    }
    let input = AgentInput {
        input_id: secret::new_id(),
        agent_id: permission.agent_id.clone(),
        input: Input::Answer { request_id: permission.request_id.clone(), choice, by },
        state: InputState::Queued,
        created_at: now,
    };
    inputs::insert(tx, &permission.machine_id, &input).await?;
    tracing::info!(permission.id = %permission.permission_id, choice = choice.as_str(), by = by.as_str(), "a permission request was answered");
    Ok(true)
}

/// What is answered to a request when this is meant: the nearest answer that it offers and that is no wider. A no can always be
/// given, for the agent takes one that it did not offer as a cancel. Nothing when a yes is meant and none is offered.
pub(crate) fn nearest(meant: Choice, options: &[PermissionOption]) -> Option<Choice> {
    match meant.find(options) {
        Some(option) => Some(option.kind),
        None => (!meant.allows()).then_some(Choice::RejectOnce),
    }
}

/// What a room's rules answer to a request, if one of them fits: of those that fit, one that refuses counts.
fn by_rules(rules: &[Rule], permission: &Permission, now: UnixMs) -> Option<Choice> {
    let fitting = rules.iter().filter(|rule| {
        rule.until.is_none_or(|until| until > now)
            && rule.role.as_ref().is_none_or(|role| role.eq_ignore_ascii_case(&permission.role))
            && rule.matches.fits(permission.tool_kind, permission.command.as_deref())
    });
    let allows = fitting.map(|rule| rule.allow).reduce(|all, allow| all && allow)?;
    nearest(if allows { Choice::AllowOnce } else { Choice::RejectOnce }, &permission.options)
}

/// Answers those of a room's requests that its rules fit.
pub(super) async fn apply_rules(tx: &mut Tx, rules: &[Rule], asked: &[Row], now: UnixMs) -> store::Result<()> {
    for row in asked {
        if let Some(choice) = by_rules(rules, &row.permission, now) {
            decide(tx, row, choice, Decider::Rule, now).await?;
        }
    }
    Ok(())
}

async fn list(cx: &mut QueryCx, args: ListArgs) -> Result<Vec<Permission>> {
    let user_id = cx.caller.user_id()?.clone();
    if let Some(id) = &args.chatroom_id {
        find_own(&mut cx.tx, &cx.caller, id).await?;
    }
    if let Some(id) = &args.agent_id {
        own_agent(&mut cx.tx, &user_id, id).await?;
    }
    let filter = Filter { chatroom_id: args.chatroom_id.as_ref(), agent_id: args.agent_id.as_ref() };
    let mut rows = permissions::list_pending(&mut cx.tx, &user_id, filter, LISTED).await?;
    if args.include_ended {
        rows.extend(permissions::list_ended(&mut cx.tx, &user_id, filter, LISTED).await?);
        // Ids are ordered by time.
        rows.sort_by(|one, other| one.permission.permission_id.cmp(&other.permission.permission_id));
    }
    Ok(rows.into_iter().map(|row| row.permission).collect())
}

async fn answer(cx: &mut MutationCx, args: AnswerArgs) -> Result<Permission> {
    let user_id = cx.caller.user_id()?.clone();
    let not_found = || Refusal::not_found("permission request");
    let row = permissions::find(&mut cx.tx, &user_id, &args.permission_id).await?.ok_or_else(not_found)?;
    let choice = nearest(args.choice, &row.permission.options);
    match (&row.permission.state, choice) {
        (PermissionState::Pending, Some(choice)) => {
            decide(&mut cx.tx, &row, choice, Decider::Person, cx.now).await?;
            let by = By::caller(cx, "permissions.answer");
            by.note(&mut cx.tx, &user_id, args.permission_id.as_str(), choice.as_str(), cx.now).await?;
            let row = permissions::find(&mut cx.tx, &user_id, &args.permission_id).await?.ok_or_else(not_found)?;
            Ok(row.permission)
        }
        (PermissionState::Pending, None) => Err(not_offered(args.choice, &row.permission.options).into()),
        // Its owner says the same again.
        (PermissionState::Answered { choice: given, by: Decider::Person, .. }, Some(choice)) if *given == choice => {
            Ok(row.permission)
        }
        (PermissionState::Answered { choice, by, .. }, _) => {
            let by = match by {
                Decider::Mode => "the agent's permission mode",
                Decider::Rule => "a rule",
                Decider::Person => "its owner",
                Decider::Expiry => "time, for nobody had answered",
            };
            let message = format!("this request was answered before: {} by {by}", choice.as_str());
            Err(Refusal::new(ErrorCode::Conflict, message).hint("the first answer counts; nothing was changed").into())
        }
        (PermissionState::Withdrawn { .. }, _) => {
            let message = "nobody waits for this answer any more: the turn was cancelled, or the agent has ended";
            Err(Refusal::new(ErrorCode::Conflict, message).hint("nothing was changed").into())
        }
    }
}

fn not_offered(choice: Choice, options: &[PermissionOption]) -> Refusal {
    let offered: Vec<&str> = options.iter().map(|option| option.kind.as_str()).collect();
    let hint = if offered.is_empty() {
        "it offers none; it can be refused with `reject_once`".to_owned()
    } else {
        format!("it offers: {}", offered.join(", "))
    };
    Refusal::bad_request(format!("this request does not take the answer {}", choice.as_str())).hint(hint)
}

async fn list_rules(cx: &mut QueryCx, args: RulesArgs) -> Result<Vec<Rule>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    Ok(rules::list(&mut cx.tx, &room.chatroom_id).await?)
}

async fn add_rule(cx: &mut MutationCx, args: AddRuleArgs) -> Result<Rule> {
    let user_id = cx.caller.user_id()?.clone();
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    refuse_archived(&room)?;
    let role = args.role.as_deref().map(|role| find_role(&room, role)).transpose()?.map(|role| role.name.clone());
    args.matches.check().map_err(|why| {
        Refusal::bad_request(why).hint("name the program and its first words, for example `cargo test`")
    })?;
    if args.until.is_some_and(|until| until <= cx.now) {
        return Err(Refusal::bad_request("the time of this rule is over already")
            .hint("leave `until` out for a rule that counts until it is removed")
            .into());
    }
    let mut known = rules::list(&mut cx.tx, &room.chatroom_id).await?;
    if known.len() >= RULES {
        return Err(Refusal::new(ErrorCode::LimitReached, format!("this chatroom has {RULES} rules already"))
            .hint("remove some that are not needed any more")
            .into());
    }
    let rule = Rule {
        rule_id: secret::new_id(),
        chatroom_id: room.chatroom_id.clone(),
        role,
        allow: args.allow,
        matches: args.matches,
        until: args.until,
        created_at: cx.now,
    };
    rules::insert(&mut cx.tx, &user_id, &rule).await?;
    let by = By::caller(cx, "permissions.addRule");
    by.note(&mut cx.tx, &user_id, rule.rule_id.as_str(), if rule.allow { "allows" } else { "refuses" }, cx.now).await?;
    known.push(rule.clone());
    let mut after = PermissionId(String::new());
    loop {
        let waiting = permissions::list_pending_after(&mut cx.tx, &user_id, &room.chatroom_id, &after, BATCH).await?;
        let Some(last) = waiting.last() else { break };
        after = last.permission.permission_id.clone();
        apply_rules(&mut cx.tx, &known, &waiting, cx.now).await?;
    }
    cx.app.deadline_set.notify_one();
    Ok(rule)
}

async fn remove_rule(cx: &mut MutationCx, args: RuleArgs) -> Result<Empty> {
    let user_id = cx.caller.user_id()?.clone();
    let rule = rules::delete(&mut cx.tx, &user_id, &args.rule_id).await?.ok_or_else(|| Refusal::not_found("rule"))?;
    let by = By::caller(cx, "permissions.removeRule");
    by.note(&mut cx.tx, &user_id, rule.rule_id.as_str(), "removed", cx.now).await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatroom_protocol::permission::RuleMatch;
    use chatroom_protocol::transcript::ToolKind;

    const NOW: UnixMs = UnixMs(1000);

    fn request(command: &str, kinds: &[Choice]) -> Permission {
        let option = |kind: &Choice| PermissionOption { option_id: "o".into(), name: "n".into(), kind: *kind };
        Permission {
            permission_id: "p".into(),
            agent_id: "a".into(),
            chatroom_id: "c".into(),
            role: "builder".into(),
            machine_id: "m".into(),
            request_id: "r".into(),
            title: "run".into(),
            tool_kind: ToolKind::Execute,
            command: Some(command.into()),
            paths: Vec::new(),
            options: kinds.iter().map(option).collect(),
            asked_at: NOW,
            expires_at: NOW + 1,
            state: PermissionState::Pending,
        }
    }

    fn rule(allow: bool, matches: RuleMatch) -> Rule {
        Rule { rule_id: "r".into(), chatroom_id: "c".into(), role: None, allow, matches, until: None, created_at: NOW }
    }

    fn command(allow: bool, command: &str) -> Rule {
        rule(allow, RuleMatch::Command { command: command.into() })
    }

    const BOTH: &[Choice] = &[Choice::AllowAlways, Choice::AllowOnce, Choice::RejectOnce];

    #[test]
    fn of_rules_that_fit_one_that_refuses_counts() {
        let rules = [
            command(true, "cargo"),
            command(false, "cargo publish"),
            rule(true, RuleMatch::Kind { tool_kind: ToolKind::Execute }),
        ];
        let answer = |text| by_rules(&rules, &request(text, BOTH), NOW);
        assert_eq!(answer("cargo test"), Some(Choice::AllowOnce));
        assert_eq!(answer("cargo publish --dry-run"), Some(Choice::RejectOnce));
        assert_eq!(by_rules(&rules[..2], &request("make", BOTH), NOW), None);
    }

    #[test]
    fn a_rule_counts_for_its_role_and_its_time() {
        let mut own = command(true, "make");
        own.role = Some("reviewer".into());
        let mut past = command(true, "make");
        past.until = Some(NOW);
        assert_eq!(by_rules(&[own.clone(), past.clone()], &request("make", BOTH), NOW), None);
        own.role = Some("builder".into());
        assert_eq!(by_rules(&[own], &request("make", BOTH), NOW), Some(Choice::AllowOnce));
        past.until = Some(NOW + 1);
        assert_eq!(by_rules(&[past], &request("make", BOTH), NOW), Some(Choice::AllowOnce));
    }

    #[test]
    fn a_rule_never_gives_a_wider_yes_and_can_always_say_no() {
        let (yes, no) = ([command(true, "make")], [command(false, "make")]);
        let only_always = request("make", &[Choice::AllowAlways]);
        assert_eq!(by_rules(&yes, &only_always, NOW), None);
        assert_eq!(by_rules(&no, &only_always, NOW), Some(Choice::RejectOnce));
        assert_eq!(by_rules(&no, &request("make", &[Choice::RejectAlways]), NOW), Some(Choice::RejectAlways));
    }
}
