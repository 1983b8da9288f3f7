//! The command line: every command, its arguments and its help. What a command does stands in `commands`.

mod agent;
mod permission;
mod room;

pub(crate) use agent::{
    Agent, AgentAttach, AgentCancel, AgentList, AgentLogs, AgentSend, AgentSlot, AgentStart, AgentTarget, AgentWhy,
};
pub(crate) use permission::{Permission, PermissionAnswer, PermissionList, Rule, RuleAdd, RuleRef};
pub(crate) use room::{
    Artifact, Backlog, BacklogItem, Mcp, RoleContext, Room, RoomRef, RoomStart, RoomStop, SetTeam, Team, TeamChange,
    Watch,
};

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run AI coding agents on all your machines from one place you host yourself.
#[derive(Debug, Parser)]
#[command(name = "chatroom", version, propagate_version = false, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 70 internal error.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Global {
    /// Server to talk to; by default the one of the last login.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Allow plain http:// to another machine: everybody on the way can read the credential.
    #[arg(long, global = true)]
    pub(crate) insecure_http: bool,
    /// Print one JSON document instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server, this machine's daemon and sign in here: everything in one process.
    Up(Up),
    /// Run only the server.
    Server(Server),
    /// Sign in and out.
    #[command(subcommand)]
    Auth(Auth),
    /// Let other people use this server.
    #[command(subcommand)]
    User(User),
    /// Machines and their daemons.
    #[command(subcommand)]
    Machine(Machine),
    /// Start, stop, see and talk to agents.
    #[command(subcommand)]
    Agent(Agent),
    /// See and answer what agents ask for, and the rules that answer by themselves.
    #[command(subcommand)]
    Permission(Permission),
    /// Chatrooms.
    #[command(subcommand)]
    Room(Room),
    /// Teams that a room can be made with.
    #[command(subcommand)]
    Team(Team),
    /// Send a message to a room; it makes a task for the role.
    Send(Send),
    /// Wait for a task of a role and print it (run by agents).
    WaitForTask(WaitForTask),
    /// Say that work on a task began (run by agents).
    TaskStarted(TaskRef),
    /// End a task without handing it on (run by agents).
    TaskComplete(TaskRef),
    /// End a task and hand its work to another role or to `user`; the message is read from standard input.
    Handoff(Handoff),
    /// Tell how the work on a task goes; the note is read from standard input (run by agents).
    ReportProgress(TaskRef),
    /// What a role needs to know now, and from where on the conversation counts.
    #[command(subcommand)]
    Context(RoleContext),
    /// Markdown files of a room.
    #[command(subcommand)]
    Artifact(Artifact),
    /// What is to be done in a room some day.
    #[command(subcommand)]
    Backlog(Backlog),
    /// Serve the Model Context Protocol on standard input and output, for the agent of one role.
    Mcp(Mcp),
    /// See the tasks of a room, put them back or cancel them.
    #[command(subcommand)]
    Task(Task),
    /// Messages of a room.
    #[command(subcommand)]
    Messages(Messages),
    /// Check this machine, its login and the server, with the repair for each fault.
    Doctor(Doctor),
    /// Call any function of the API and print its result as JSON; without arguments list every function.
    Api(Api),
    /// Watch over one agent's processes.
    #[command(hide = true)]
    AgentHost(AgentHost),
    /// The built-in tool `echo`: answers every task and everything that is said to it with its text.
    ///
    /// It speaks the Agent Client Protocol on standard input and output. Lines of a text that begin with one of these words make
    /// it do what agents do:
    ///
    ///   /ask COMMAND     asks for the permission to run COMMAND, and runs nothing
    ///   /slow SECONDS    takes so long
    ///   /think TEXT      thinks aloud
    ///   /plan A; B       tells a plan
    ///   /edit PATH       tells of a changed file, and writes nothing
    ///   /recall          says what was said first in this session
    ///   /keep            ends its turn without handing the task off
    ///   /fail            ends its turn as failed
    #[command(hide = true, verbatim_doc_comment)]
    EchoAgent,
    /// Run the daemon in this process.
    #[command(hide = true)]
    DaemonRun,
    /// Write the TypeScript types of the API into a directory.
    #[command(hide = true)]
    GenerateTypescript {
        /// The directory, for example clients/typescript.
        into: PathBuf,
    },
}

/// Run the server, this machine's daemon and sign in here: everything in one process.
#[derive(Clone, Debug, Args)]
pub(crate) struct Up {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7420", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Where the server keeps its data; by default `server` in the chatroom directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Origin of a page elsewhere that may call the API from a browser, for example `https://app.example.org`; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// Do not open the browser.
    #[arg(long)]
    pub(crate) no_open: bool,
}

/// Run only the server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7420", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Where the server keeps its data; by default `server` in the chatroom directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// PostgreSQL to keep the data in, instead of SQLite.
    #[arg(long, env = "CHATROOM_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Address under which people and machines reach the server, when it is not the one it listens on.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Print a link that signs a browser in as the first user, once; without this only while nobody has ever signed in.
    #[arg(long)]
    pub(crate) sign_in_link: bool,
    /// Believe the X-Forwarded headers of a proxy before the server.
    #[arg(long)]
    pub(crate) trust_proxy: bool,
    /// Origin of a page elsewhere that may call the API from a browser, for example `https://app.example.org`; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Auth {
    /// Sign this machine's user in: shows a code to approve in the browser.
    Login(Login),
    /// Revoke this login on the server and forget it here.
    Logout,
    /// Show who is signed in, and where.
    Status,
    /// Approve the login of another machine that shows this code.
    Approve {
        /// The code, written XXXX-XXXX.
        code: String,
    },
    /// Make a link that signs a browser in as you, once.
    ///
    /// A browser that it has signed in can set a new password without the current one for half an hour: so a forgotten one is replaced.
    Link,
    /// Mint a named token that ends, for scripts.
    Token(Token),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Login {
    /// Read a token from standard input instead: for machines without a browser near.
    #[arg(long)]
    pub(crate) token: bool,
    /// Do not open the browser.
    #[arg(long)]
    pub(crate) no_open: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Token {
    /// What the token is for.
    #[arg(long)]
    pub(crate) name: String,
    /// What it may do: `full` or `read`.
    #[arg(long, default_value = "full", value_parser = ["full", "read"])]
    pub(crate) scope: String,
    /// How long it lives, for example 30m, 12h or 30d; at most 365d.
    #[arg(long, default_value = "30d", value_parser = crate::duration::parse)]
    pub(crate) expires_in: std::time::Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make another user and print a link that signs them in once.
    Invite {
        /// Their name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Machine {
    /// The background process that holds this machine's connection and runs its commands.
    #[command(subcommand)]
    Daemon(Daemon),
    /// List your machines.
    List,
    /// Show a machine with its tools, its agents and its last commands.
    Show(MachineName),
    /// Give a machine another name.
    Rename {
        /// Name or id of the machine.
        machine: String,
        /// Its new name.
        name: String,
    },
    /// Remove a machine: its credential is revoked and its commands fail.
    Remove {
        /// Name or id of the machine.
        machine: String,
    },
    /// Look for agent tools on this machine.
    Detect {
        /// Run each tool again, even if it did not change.
        #[arg(long)]
        refresh: bool,
    },
    /// List the models that a tool offers on a machine.
    Models(MachineModels),
    /// Settle the identity of this machine after its files were moved or copied.
    Repair(Repair),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MachineModels {
    /// The tool, for example opencode or claude.
    pub(crate) tool: String,
    /// Name or id of the machine; by default this one, or the only one.
    #[arg(long)]
    pub(crate) machine: Option<String>,
    /// How long to wait for the answer, for example 90s.
    #[arg(long, default_value = "60s", value_parser = crate::duration::parse)]
    pub(crate) timeout: std::time::Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MachineName {
    /// Name or id of the machine; this one when left out.
    pub(crate) machine: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Repair {
    /// The same machine with new hardware or a new system: keep its identity.
    #[arg(long)]
    pub(crate) moved: bool,
    /// A copy of another machine: make a new identity here.
    #[arg(long)]
    pub(crate) new: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Daemon {
    /// Start it in the background; returns when it is connected.
    Start {
        /// Stay in the foreground.
        #[arg(long)]
        foreground: bool,
    },
    /// Stop it and its agents.
    Stop {
        /// Leave the agents running for the next daemon.
        #[arg(long)]
        keep_agents: bool,
    },
    /// Say whether it runs: exit code 0 if so, 1 if not.
    Status,
    /// Stop it and start it again; its agents go on.
    Restart,
    /// Start it at every boot, as a service of your user (systemd, launchd).
    Install,
    /// Undo `install`.
    Uninstall,
    /// Print the end of its log.
    Logs {
        /// How many lines.
        #[arg(long, default_value_t = 100)]
        lines: usize,
        /// Go on printing what is added.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Send {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// To which role; by default the team's entry role.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// An artifact of the room that goes with it, in its newest version or in that one.
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(crate) attach_artifact: Vec<String>,
    /// The message; `-` reads it from standard input.
    pub(crate) text: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WaitForTask {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Your role in it.
    #[arg(long)]
    pub(crate) role: String,
    /// The tool that runs this command; guessed when left out.
    #[arg(long, value_name = "TOOL")]
    pub(crate) agent_type: Option<String>,
    /// How long to wait, for example 60 or 60s; by default less than what the tool allows one command.
    #[arg(long, value_parser = crate::duration::parse)]
    pub(crate) timeout: Option<std::time::Duration>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TaskRef {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Your role in it.
    #[arg(long)]
    pub(crate) role: String,
    /// The task.
    #[arg(long, value_name = "ID")]
    pub(crate) task_id: String,
    /// The number of the delivery, as printed with the task.
    #[arg(long, value_name = "N")]
    pub(crate) delivery: i64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Handoff {
    #[command(flatten)]
    pub(crate) task: TaskRef,
    /// The role to hand to, or `user`.
    #[arg(long, value_name = "ROLE")]
    pub(crate) next_role: String,
    /// An artifact of the room that goes with it, in its newest version or in that one.
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(crate) attach_artifact: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// List the tasks of a room that have not ended.
    List(TaskList),
    /// Put a held task back into the queue; whoever held it can write no more.
    Requeue {
        /// The task.
        #[arg(value_name = "TASK_ID")]
        task_id: String,
    },
    /// Cancel a task.
    Cancel {
        /// The task.
        #[arg(value_name = "TASK_ID")]
        task_id: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TaskList {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Only of this role.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// Only in this state.
    #[arg(long, value_parser = ["pending", "acknowledged", "in_progress", "completed", "cancelled"])]
    pub(crate) state: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Messages {
    /// List the messages of a room, oldest first.
    List(MessagesList),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MessagesList {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Only messages after this number.
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<i64>,
    /// Only messages before this number: the newest of them.
    #[arg(long, value_name = "N", conflicts_with = "after")]
    pub(crate) before: Option<i64>,
    /// Say that you have seen those that are for you.
    #[arg(long)]
    pub(crate) mark_seen: bool,
    /// How many at most: 1 to 200, by default 50.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<i64>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Doctor {
    /// Do a whole round trip with the `echo` agent in a room of its own, and time each step.
    #[arg(long)]
    pub(crate) e2e: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Api {
    /// Go on: one line of JSON now and whenever the answer of the query changes.
    #[arg(long, requires = "function")]
    pub(crate) watch: bool,
    /// Its name, for example machines.listMachines.
    pub(crate) function: Option<String>,
    /// Its arguments, a JSON object; `-` reads it from standard input.
    #[arg(default_value = "{}")]
    pub(crate) args: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentHost {
    /// Directory of the agent.
    pub(crate) dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::{Agent, Cli, Command};
    use chatroom_server::prompt::commands::Commands;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_take_their_value_after_an_equals_sign() {
        let line = "chatroom agent start --chatroom-id=r --role=builder --tool=echo --dir=/tmp --timeout=5s --json";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.global.json);
    }

    #[test]
    fn every_command_of_the_prompts_is_one_that_we_have() {
        let room = "01981111-0000-7000-8000-000000000001".into();
        let commands = Commands { cli: "chatroom", chatroom_id: &room, role: "builder" };
        let task = "01981111-0000-7000-8000-000000000002".into();
        let prompted = [
            commands.wait(),
            commands.started(&task, 1),
            commands.complete(&task, 1),
            commands.handoff(&task, 1, "user"),
            commands.progress(&task, 1),
            commands.read_context(),
            commands.read_earlier(7),
            commands.put_artifact(),
            commands.handoff(&task, 1, "user").replacen(" <<", " --attach-artifact=FILE.md <<", 1),
            commands.artifact("plan.md", 2),
            commands.messages(None, 20),
            commands.messages(Some(0), 1) + " --json",
        ];
        for command in prompted {
            let line = command.lines().next().unwrap().split(" <<").next().unwrap();
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn an_agent_is_named_by_its_id_or_by_its_role_never_by_both_or_neither() {
        let is_taken = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        for verb in ["attach", "send --wait", "cancel"] {
            let text = if verb.starts_with("send") { " -" } else { "" };
            assert!(is_taken(&format!("chatroom agent {verb} --chatroom-id=r --role=builder{text}")), "{verb}");
            assert!(is_taken(&format!("chatroom agent {verb} --agent=a{text}")), "{verb}");
            assert!(!is_taken(&format!("chatroom agent {verb} --agent=a --chatroom-id=r --role=b{text}")), "{verb}");
            assert!(!is_taken(&format!("chatroom agent {verb} --chatroom-id=r{text}")), "{verb}");
        }
        assert!(!is_taken("chatroom agent attach"));
        assert!(is_taken("chatroom agent logs a -f") && !is_taken("chatroom agent logs a -f --raw"));
        assert!(is_taken("chatroom agent why --chatroom-id=r --role=builder"));
    }

    #[test]
    fn starting_on_a_task_is_said_with_or_without_a_value() {
        for (flag, wish) in [
            ("", None),
            (" --start-on-task", Some(true)),
            (" --start-on-task=true", Some(true)),
            (" --start-on-task=false", Some(false)),
        ] {
            let line = format!("chatroom agent start --chatroom-id=r --role=b{flag}");
            let Command::Agent(Agent::Start(start)) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
                panic!("{line}");
            };
            assert_eq!(start.start_on_task, wish, "{line}");
        }
    }

    #[test]
    fn a_rule_says_yes_or_no_to_a_kind_or_a_command() {
        let is_taken = |more: &[&str]| {
            let words = ["chatroom", "permission", "rule", "add", "--chatroom-id=r"];
            Cli::try_parse_from(words.iter().chain(more)).is_ok()
        };
        assert!(is_taken(&["--allow", "--command=cargo test", "--for=2h"]));
        assert!(is_taken(&["--deny", "--kind=fetch", "--role=builder"]));
        assert!(!is_taken(&["--allow", "--deny", "--kind=fetch"]));
        assert!(!is_taken(&["--allow"]) && !is_taken(&["--kind=read"]));
        assert!(!is_taken(&["--allow", "--kind=paint"]));
    }

    #[test]
    fn repair_needs_one_decision() {
        assert!(Cli::try_parse_from(["chatroom", "machine", "repair"]).is_err());
        assert!(Cli::try_parse_from(["chatroom", "machine", "repair", "--moved", "--new"]).is_err());
        assert!(Cli::try_parse_from(["chatroom", "machine", "repair", "--new"]).is_ok());
    }
}
