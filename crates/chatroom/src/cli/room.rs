//! The commands of rooms, teams and what stands in a room.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Room {
    /// Make a room.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Its team; see `chatroom team list`.
        #[arg(long)]
        team: String,
    },
    /// List your rooms.
    List,
    /// Show a room: its team, who works in it and what stands in the queue.
    Show(RoomRef),
    /// Give a room another team, or the newest definition of its own.
    SetTeam(SetTeam),
    /// Start the agent of every role.
    Start(RoomStart),
    /// Stop every agent of a room.
    Stop(RoomStop),
    /// Follow a room: messages, tasks, agents and what they ask as it comes, until Ctrl-C.
    Watch(Watch),
    /// Archive a room: it takes no more messages.
    Archive(RoomRef),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RoomRef {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SetTeam {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// The name of the team.
    #[arg(long)]
    pub(crate) team: String,
    /// What becomes of open tasks of roles that the new team does not have: `move` them to its entry role, or `cancel` them.
    #[arg(long, value_parser = ["move", "cancel"], value_name = "WHAT")]
    pub(crate) removed_role_tasks: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RoomStart {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Name or id of the machine; by default where each role is configured, this one, or the only one.
    #[arg(long)]
    pub(crate) machine: Option<String>,
    /// Tool of one role; without a role, of those that have none yet.
    #[arg(long, value_name = "[ROLE:]TOOL")]
    pub(crate) tool: Vec<String>,
    /// Model of one role; without a role, of those that have no tool yet.
    #[arg(long, value_name = "[ROLE:]MODEL")]
    pub(crate) model: Vec<String>,
    /// Directory of one role, on its machine; without a role, of those that have none yet.
    #[arg(long, value_name = "[ROLE:]DIR")]
    pub(crate) dir: Vec<String>,
    /// What the agents may do without asking: `ask` (the default), `accept-edits` or `full`; with a role before it, that one's.
    #[arg(long, value_name = "[ROLE:]MODE")]
    pub(crate) permission_mode: Vec<String>,
    /// Let a task that comes for a role start its agent.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub(crate) start_on_task: Option<bool>,
    /// How long to wait until all of them are ready, for example 90s.
    #[arg(long, default_value = "60s", value_parser = crate::duration::parse)]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RoomStop {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// How long to wait for each stop, for example 90s.
    #[arg(long, default_value = "60s", value_parser = crate::duration::parse)]
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Watch {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// How many messages that are there already to begin with: 0 to 200.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(i64).range(0..=200))]
    pub(crate) history: i64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Team {
    /// List teams.
    List,
    /// Show the roles of a team.
    Show {
        /// Its name.
        name: String,
    },
    /// Make a team of your own, from a file or from flags.
    Create(TeamCreate),
    /// Change a team of your own. Rooms keep their copy; see `chatroom room set-team`.
    Edit(TeamEdit),
    /// Remove a team of your own. Rooms keep their copy.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TeamCreate {
    /// Its name.
    pub(crate) name: String,
    /// Begin with the roles of this team.
    #[arg(long, value_name = "TEAM")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) change: TeamChange,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TeamEdit {
    /// Its name.
    pub(crate) name: String,
    /// Take a role out.
    #[arg(long, value_name = "ROLE")]
    pub(crate) remove_role: Vec<String>,
    #[command(flatten)]
    pub(crate) change: TeamChange,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TeamChange {
    /// The whole team from a file, TOML or JSON as `team show --json` prints it; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Add a role.
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Vec<String>,
    /// What a role is called.
    #[arg(long, value_name = "ROLE:TEXT")]
    pub(crate) title: Vec<String>,
    /// What a role does, in words for the agent.
    #[arg(long, value_name = "ROLE:TEXT")]
    pub(crate) instructions: Vec<String>,
    /// To which roles, or `user`, a role may hand; to all of them when it is new and nothing is said.
    #[arg(long, value_name = "ROLE:ROLE,ROLE")]
    pub(crate) hands_to: Vec<String>,
    /// The role that gets messages without one.
    #[arg(long, value_name = "ROLE")]
    pub(crate) entry: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoleContext {
    /// Print what a role needs to know now: its task, the conversation, the next commands (run by agents).
    Read {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Your role in it.
        #[arg(long)]
        role: String,
        /// Only messages before this number: what was said earlier.
        #[arg(long, value_name = "N")]
        before: Option<i64>,
        /// How many messages at most: 1 to 100, by default 30.
        #[arg(long, value_name = "N")]
        limit: Option<i64>,
    },
    /// Begin a new context: what was said before it is left out of what roles read. What one must know is read from standard
    /// input.
    New {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Your role, when an agent does it by hand.
        #[arg(long)]
        role: Option<String>,
        /// What it is about, in one line.
        #[arg(long)]
        title: String,
    },
    /// List the contexts of a room, newest first.
    List(RoomRef),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backlog {
    /// Add something to be done some day.
    Add {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Your role, when an agent does it by hand.
        #[arg(long)]
        role: Option<String>,
        /// What is to be done; `-` reads it from standard input.
        text: String,
    },
    /// List what is to be done, oldest first.
    List {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Only in this state; by default what is not completed.
        #[arg(long, value_parser = ["open", "started", "completed"])]
        state: Option<String>,
    },
    /// Make a task of an item.
    Start {
        #[command(flatten)]
        item: BacklogItem,
        /// Which role is to do it; by default the team's entry role.
        #[arg(long, value_name = "ROLE")]
        target_role: Option<String>,
    },
    /// Complete an item.
    Complete(BacklogItem),
    /// Remove an item.
    Remove(BacklogItem),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct BacklogItem {
    /// The room.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: String,
    /// Your role, when an agent does it by hand.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// The item.
    #[arg(long, value_name = "ID")]
    pub(crate) item_id: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Artifact {
    /// Write an artifact: a markdown file of the room. The same name again is its next version.
    Put {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Your role, when an agent does it by hand.
        #[arg(long)]
        role: Option<String>,
        /// Its name, ending in .md; by default the file's.
        #[arg(long)]
        name: Option<String>,
        /// The file; `-` reads standard input and needs --name.
        file: PathBuf,
    },
    /// Print the text of an artifact.
    Get {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Its name.
        #[arg(long)]
        name: String,
        /// Its version; by default the newest.
        #[arg(long, value_name = "N")]
        version: Option<i64>,
    },
    /// List the artifacts of a room.
    List(RoomRef),
    /// Remove an artifact with all its versions.
    Remove {
        /// The room.
        #[arg(long, value_name = "ID")]
        chatroom_id: String,
        /// Its name.
        #[arg(long)]
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Mcp {
    /// The room; an agent that the daemon started has its own.
    #[arg(long, value_name = "ID")]
    pub(crate) chatroom_id: Option<String>,
    /// Your role in it; an agent that the daemon started has its own.
    #[arg(long)]
    pub(crate) role: Option<String>,
}
