//! The commands of permissions.

use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Permission {
    /// List what agents ask for.
    List(PermissionList),
    /// Answer a request; the first answer counts.
    Answer(PermissionAnswer),
    /// Rules of a room that answer by themselves.
    #[command(subcommand)]
    Rule(Rule),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PermissionList {
    /// Only of this room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: Option<String>,
    /// Those that have their end too.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PermissionAnswer {
    /// The request, or the beginning of its id.
    #[arg(value_name = "ID")]
    pub(crate) permission_id: String,
    /// `allow` this once, `always` in this session, `deny` this once, or `never` in this session.
    #[arg(value_parser = ["allow", "always", "deny", "never"])]
    pub(crate) answer: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// Add a rule; requests that wait and fit are answered at once.
    Add(RuleAdd),
    /// List the rules of a room.
    List {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
    },
    /// Remove a rule.
    Remove(RuleRef),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RuleAdd {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Only this role; by default every role.
    #[arg(long)]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) answer: RuleAnswer,
    #[command(flatten)]
    pub(crate) what: RuleWhat,
    /// For how long the rule counts, for example 2h; by default until it is removed.
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse)]
    pub(crate) lasts: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RuleAnswer {
    /// Say yes.
    #[arg(long)]
    pub(crate) allow: bool,
    /// Say no; of the rules that fit, one that says no counts.
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RuleWhat {
    /// To every deed of a kind.
    #[arg(long, value_parser = ["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"])]
    pub(crate) kind: Option<String>,
    /// To one shell command, with or without more words after it.
    #[arg(long, value_name = "WORDS")]
    pub(crate) command: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RuleRef {
    /// The rule, or the beginning of its id.
    #[arg(value_name = "ID")]
    pub(crate) rule_id: String,
}
