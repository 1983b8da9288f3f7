//! `chatroom permission`: what agents ask for, its answers, and the rules that answer by themselves.

use crate::cli::{
    Permission as PermissionCommand, PermissionAnswer, PermissionList, Rule as RuleCommand, RuleAdd, RuleRef,
};
use crate::context::Context;
use crate::duration::show;
use crate::ids::by_beginning;
use crate::retry;
use crate::transcript::{ago, by_in_words, choice_in_words};
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::{Client, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::{Empty, chatrooms, permissions};
use chatroom_protocol::permission::{Permission, PermissionState, Rule, RuleMatch};
use chatroom_protocol::transcript::{Choice, ToolKind};

/// Runs a `permission` command.
pub(crate) async fn run(context: &Context, command: PermissionCommand) -> Result<()> {
    match command {
        PermissionCommand::List(args) => list(context, args).await,
        PermissionCommand::Answer(args) => answer(context, args).await,
        PermissionCommand::Rule(RuleCommand::Add(args)) => add_rule(context, args).await,
        PermissionCommand::Rule(RuleCommand::List { chatroom_id }) => list_rules(context, chatroom_id).await,
        PermissionCommand::Rule(RuleCommand::Remove(rule)) => remove_rule(context, rule).await,
    }
}

async fn list(context: &Context, args: PermissionList) -> Result<()> {
    let args = permissions::ListArgs {
        chatroom_id: args.chatroom_id.map(Into::into),
        agent_id: None,
        include_ended: args.all,
    };
    let list = context.client()?.call::<permissions::List>(&args).await?;
    Ok(context.ui.answer(&list, |list| match list.as_slice() {
        [] => "nothing is asked".to_owned(),
        list => describe(list, clock::now()),
    })?)
}

fn describe(list: &[Permission], now: UnixMs) -> String {
    let row = |asked: &Permission| {
        [
            asked.permission_id.to_string(),
            ago(now, asked.asked_at),
            asked.role.clone(),
            asked.tool_kind.as_str().to_owned(),
            what(asked),
            stands(asked, now),
        ]
    };
    let mut text =
        table(["REQUEST", "ASKED", "ROLE", "KIND", "WHAT", "STATE"], &list.iter().map(row).collect::<Vec<_>>());
    if list.iter().any(|asked| asked.state == PermissionState::Pending) {
        text.push_str("\nanswer: chatroom permission answer REQUEST allow | always | deny | never\n");
    }
    text
}

/// What an agent wants to do, in one line: its command, else its title with the files that this does not name.
pub(crate) fn what(asked: &Permission) -> String {
    match &asked.command {
        Some(command) => format!("$ {command}"),
        None => {
            let more: Vec<&str> =
                asked.paths.iter().map(String::as_str).filter(|path| !asked.title.contains(path)).collect();
            if more.is_empty() { asked.title.clone() } else { format!("{} ({})", asked.title, more.join(", ")) }
        }
    }
}

/// Where a request stands, in words.
pub(crate) fn stands(asked: &Permission, now: UnixMs) -> String {
    match &asked.state {
        PermissionState::Pending => format!("waits, denied in {}", show(asked.expires_at.since(now))),
        PermissionState::Answered { choice, by, .. } => {
            format!("{} {}", choice_in_words(*choice), by_in_words(*by))
        }
        PermissionState::Withdrawn { .. } => "withdrawn".to_owned(),
    }
}

async fn answer(context: &Context, args: PermissionAnswer) -> Result<()> {
    let client = context.client()?;
    let every = permissions::ListArgs { include_ended: true, ..Default::default() };
    let list = client.call::<permissions::List>(&every).await?;
    let hint = "chatroom permission list";
    let asked = by_beginning("request", &list, &args.permission_id, |asked| asked.permission_id.as_str(), hint)?;
    let args = permissions::AnswerArgs { permission_id: asked.permission_id.clone(), choice: choice(&args.answer) };
    let asked = retry::idempotent::<permissions::Answer>(&client, &args).await?;
    Ok(context.ui.answer(&asked, |asked| {
        format!("{}: {}: {}", one_line(&asked.role), one_line(&what(asked)), stands(asked, clock::now()))
    })?)
}

/// What a word of the command line answers; the parser takes no other.
fn choice(word: &str) -> Choice {
    match word {
        "allow" => Choice::AllowOnce,
        "always" => Choice::AllowAlways,
        "never" => Choice::RejectAlways,
        _ => Choice::RejectOnce,
    }
}

async fn add_rule(context: &Context, args: RuleAdd) -> Result<()> {
    let rule = permissions::AddRuleArgs {
        chatroom_id: args.chatroom_id.as_str().into(),
        role: args.role.clone(),
        allow: args.answer.allow,
        matches: matches(&args),
        until: args.lasts.map(|lasts| clock::now() + i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)),
    };
    let rule = retry::idempotent::<permissions::AddRule>(&context.client()?, &rule).await?;
    Ok(context.ui.answer(&rule, |rule| format!("rule {}: {}", rule.rule_id, in_words(rule, clock::now())))?)
}

fn matches(args: &RuleAdd) -> RuleMatch {
    match (&args.what.command, &args.what.kind) {
        (Some(command), _) => RuleMatch::Command { command: command.clone() },
        (None, kind) => RuleMatch::Kind { tool_kind: kind.as_deref().map(ToolKind::parse).unwrap_or_default() },
    }
}

/// A rule in one line.
fn in_words(rule: &Rule, now: UnixMs) -> String {
    let answer = if rule.allow { "allow" } else { "deny" };
    let what = match &rule.matches {
        RuleMatch::Kind { tool_kind } => format!("every {}", tool_kind.as_str()),
        RuleMatch::Command { command } => format!("`{}`", one_line(command)),
    };
    let who = rule.role.as_deref().map_or_else(|| "every role".to_owned(), one_line);
    let until = rule.until.map(|until| format!(", for {} more", show(until.since(now)))).unwrap_or_default();
    format!("{answer} {what} for {who}{until}")
}

async fn list_rules(context: &Context, chatroom_id: String) -> Result<()> {
    let rules = rules_of(&context.client()?, &chatroom_id).await?;
    Ok(context.ui.answer(&rules, |rules| {
        if rules.is_empty() {
            return "the room has no rules".to_owned();
        }
        let now = clock::now();
        let rows: Vec<_> = rules.iter().map(|rule| [rule.rule_id.to_string(), in_words(rule, now)]).collect();
        table(["RULE", "WHAT"], &rows)
    })?)
}

async fn rules_of(client: &Client, chatroom_id: &str) -> Result<Vec<Rule>> {
    let args = permissions::RulesArgs { chatroom_id: chatroom_id.into() };
    Ok(client.call::<permissions::ListRules>(&args).await?)
}

async fn remove_rule(context: &Context, args: RuleRef) -> Result<()> {
    let client = context.client()?;
    let mut rules = Vec::new();
    for room in client.call::<chatrooms::List>(&Empty {}).await? {
        rules.extend(rules_of(&client, room.chatroom_id.as_str()).await?);
    }
    let hint = "chatroom permission rule list --chatroom-id=ID";
    let rule = by_beginning("rule", &rules, &args.rule_id, |rule| rule.rule_id.as_str(), hint)?;
    client.call::<permissions::RemoveRule>(&permissions::RuleArgs { rule_id: rule.rule_id.clone() }).await?;
    Ok(context.ui.answer(rule, |rule| format!("removed: {}", in_words(rule, clock::now())))?)
}

#[cfg(test)]
mod tests {
    use super::{describe, in_words};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::permission::{Permission, PermissionState, Rule, RuleMatch};
    use chatroom_protocol::transcript::{Choice, Decider, ToolKind};

    fn asked(state: PermissionState) -> Permission {
        Permission {
            permission_id: "p1".into(),
            agent_id: "a1".into(),
            chatroom_id: "r1".into(),
            role: "builder".to_owned(),
            machine_id: "m1".into(),
            request_id: "q".to_owned(),
            title: "Write a.txt".to_owned(),
            tool_kind: ToolKind::Edit,
            command: None,
            paths: vec!["a.txt".to_owned(), "/work/b\x1b.txt".to_owned()],
            options: Vec::new(),
            asked_at: UnixMs(1_000),
            expires_at: UnixMs(61_000),
            state,
        }
    }

    #[test]
    fn the_list_tells_how_to_answer_as_long_as_something_waits() {
        let text = describe(&[asked(PermissionState::Pending)], UnixMs(4_000));
        assert!(
            text.contains("p1       3 s ago  builder  edit  Write a.txt (/work/b\\u{1b}.txt)  waits, denied in 57 s"),
            "{text}"
        );
        assert!(text.ends_with("answer: chatroom permission answer REQUEST allow | always | deny | never\n"), "{text}");
        let state = PermissionState::Answered { choice: Choice::RejectOnce, by: Decider::Expiry, at: UnixMs(3) };
        let text = describe(&[asked(state)], UnixMs(4_000));
        assert!(text.ends_with("denied because nobody had answered in time\n"), "{text}");
    }

    #[test]
    fn a_rule_reads_as_a_sentence() {
        let rule = Rule {
            rule_id: "u1".into(),
            chatroom_id: "r1".into(),
            role: None,
            allow: true,
            matches: RuleMatch::Command { command: "cargo test".to_owned() },
            until: Some(UnixMs(7_200_000)),
            created_at: UnixMs(0),
        };
        assert_eq!(in_words(&rule, UnixMs(0)), "allow `cargo test` for every role, for 2 h more");
        let kind = RuleMatch::Kind { tool_kind: ToolKind::Fetch };
        let rule = Rule { allow: false, role: Some("builder".to_owned()), matches: kind, until: None, ..rule };
        assert_eq!(in_words(&rule, UnixMs(0)), "deny every fetch for builder");
    }
}
