use super::{Facts, why};
use crate::store::{agents, desired, machines};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{
    Agent, AgentExit, AgentSession, AgentState, Blocked, BlockedBy, Desired, DesiredBy, Trouble, TroubleKind, Turn,
    TurnState,
};
use chatroom_protocol::machine::{AgentConfig, ConnectionState};
use chatroom_protocol::permission::{Permission, PermissionState};
use chatroom_protocol::room::{Chatroom, Team};
use chatroom_protocol::tool::{PermissionMode, ToolReport, ToolStatus};
use chatroom_protocol::transcript::{DriverKind, ToolKind};

/// Everything that may stand in the way; a test changes what it is about.
#[derive(Clone)]
struct World {
    room: Chatroom,
    config: Option<AgentConfig>,
    machine: machines::Row,
    desired: Option<desired::Row>,
    agent: Option<agents::Row>,
    permission: Option<Permission>,
    by_hand: bool,
    signed_in: bool,
    may_call: bool,
}

impl World {
    fn why(&self) -> Option<Blocked> {
        why(&Facts {
            public_url: "https://chat.example",
            signed_in: self.signed_in,
            may_call: self.may_call,
            room: &self.room,
            role: "builder",
            config: self.config.as_ref(),
            machine: Some(&self.machine),
            desired: self.desired.as_ref(),
            agent: self.agent.as_ref(),
            permission: self.permission.as_ref(),
            by_hand: self.by_hand,
        })
    }

    fn session(&mut self) -> &mut AgentSession {
        &mut self.agent.as_mut().unwrap().agent.session
    }

    fn set_turn(&mut self, state: TurnState) {
        self.session().turn = Some(Turn { state, since: UnixMs(70), task_id: None });
    }

    fn set_state(&mut self, state: AgentState) {
        self.agent.as_mut().unwrap().agent.state = state;
    }

    fn wanted(&mut self) -> &mut desired::Row {
        self.desired.as_mut().unwrap()
    }
}

/// A role whose agent works.
fn working() -> World {
    let machine = machines::Row {
        id: "m".into(),
        user_id: "u".into(),
        name: "desk".to_owned(),
        facts: machines::Facts {
            hostname: "desk".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            cli_version: "1".to_owned(),
            cli_path: "/opt/chatroom".to_owned(),
            tools: vec![ToolReport {
                name: "echo".into(),
                path: None,
                driver: Some(DriverKind::Acp),
                asks: true,
                status: ToolStatus::Ok { version: "1".to_owned() },
            }],
        },
        registered_at: UnixMs(1),
        last_seen_at: UnixMs(1),
        removed_at: None,
        epoch: 1,
        connection: ConnectionState::Connected,
        connection_since: UnixMs(20),
        connection_socket: None,
        connection_replica: None,
    };
    let agent = Agent {
        agent_id: "a".into(),
        chatroom_id: "c".into(),
        role: "builder".to_owned(),
        machine_id: "m".into(),
        tool: "echo".into(),
        model: None,
        working_dir: "/".to_owned(),
        permission_mode: PermissionMode::Ask,
        command_id: "k".into(),
        session: AgentSession {
            turn: Some(Turn { state: TurnState::Working, since: UnixMs(70), task_id: None }),
            ..AgentSession::default()
        },
        state: AgentState::Running { since: UnixMs(60), pid: 7 },
        prompt_version: None,
        created_at: UnixMs(55),
        heard_at: None,
    };
    World {
        room: Chatroom {
            chatroom_id: "c".into(),
            name: "Shop".to_owned(),
            team: Team { name: "solo".to_owned(), roles: Vec::new(), entry_role: "builder".to_owned() },
            created_at: UnixMs(10),
            archived_at: None,
        },
        config: Some(AgentConfig {
            machine_id: "m".into(),
            chatroom_id: "c".into(),
            role: "builder".to_owned(),
            tool: "echo".into(),
            model: None,
            working_dir: "/".to_owned(),
            permission_mode: PermissionMode::Ask,
            start_on_task: false,
            updated_at: UnixMs(30),
        }),
        machine,
        desired: Some(desired::Row {
            chatroom_id: "c".into(),
            role: "builder".to_owned(),
            user_id: "u".into(),
            desired: Desired {
                running: true,
                by: DesiredBy::Owner,
                since: UnixMs(50),
                machine_id: "m".into(),
                restart_at: None,
                given_up: None,
            },
            agent_id: Some("a".into()),
            exits: Vec::new(),
            restart_id: None,
            repair: None,
            resume: None,
            revision: 1,
        }),
        agent: Some(agents::Row { agent, user_id: "u".into(), failure: None }),
        permission: None,
        by_hand: false,
        signed_in: true,
        may_call: true,
    }
}

fn ended(exit: AgentExit) -> AgentState {
    AgentState::Exited { at: UnixMs(80), exit }
}

/// What brings a fact into the way.
type Deed = fn(&mut World);

/// One deed for each fact that can stand in the way, in the order in which they count.
fn blocks() -> Vec<(BlockedBy, Deed)> {
    fn end(world: &mut World) {
        world.set_state(ended(AgentExit::Code { code: 3 }));
    }
    vec![
        (BlockedBy::NotConfigured, |world| {
            end(world);
            world.config = None;
        }),
        (BlockedBy::Machine, |world| world.machine.connection = ConnectionState::Disconnected),
        (BlockedBy::Tool, |world| {
            end(world);
            world.machine.facts.tools[0].driver = None;
        }),
        (BlockedBy::NotStarted, |world| {
            end(world);
            world.wanted().desired.running = false;
        }),
        (BlockedBy::Ended, |world| {
            end(world);
            world.wanted().desired.given_up = Some("too often".to_owned());
        }),
        (BlockedBy::Restarting, |world| {
            end(world);
            world.wanted().desired.restart_at = Some(UnixMs(90));
        }),
        (BlockedBy::Passing, |world| world.set_state(AgentState::Starting { since: UnixMs(60) })),
        (BlockedBy::Trouble, |world| {
            world.session().trouble = Some(Trouble {
                kind: TroubleKind::NotSignedIn,
                message: "nobody is signed in".to_owned(),
                repair: Some("tool login".to_owned()),
                at: UnixMs(75),
            });
        }),
        (BlockedBy::Permission, |world| world.set_turn(TurnState::WaitingForPermission)),
        (BlockedBy::NeedsYou, |world| world.set_turn(TurnState::NeedsYou)),
    ]
}

#[test]
fn whoever_may_not_call_any_more_is_told_with_the_repair_that_works() {
    let mut world = working();
    world.may_call = false;
    let blocked = world.why().unwrap();
    assert_eq!(blocked.by, BlockedBy::Trouble);
    assert_eq!(blocked.repair.as_deref(), Some("chatroom agent restart --chatroom-id=c --role=builder"));
    world.machine.connection = ConnectionState::Disconnected;
    world.signed_in = false;
    let blocked = world.why().unwrap();
    assert_eq!(blocked.by, BlockedBy::Machine);
    assert_eq!(blocked.repair.as_deref(), Some("chatroom auth login --server=https://chat.example"));
}

#[test]
fn a_trouble_counts_until_a_newer_turn_works() {
    let mut world = working();
    world.session().trouble = Some(Trouble {
        kind: TroubleKind::NotSignedIn,
        message: "nobody is signed in".to_owned(),
        repair: None,
        at: UnixMs(75),
    });
    assert_eq!(world.why().unwrap().by, BlockedBy::Trouble);
    world.session().turn = Some(Turn { state: TurnState::Working, since: UnixMs(76), task_id: None });
    assert_eq!(world.why(), None);
    world.session().turn = Some(Turn { state: TurnState::Idle, since: UnixMs(77), task_id: None });
    assert_eq!(world.why().unwrap().by, BlockedBy::Trouble);
}

#[test]
fn what_was_changed_since_a_failure_was_not_tried_yet() {
    let mut world = working();
    world.set_state(ended(AgentExit::Code { code: 3 }));
    assert_eq!(world.why().unwrap().by, BlockedBy::Ended);
    world.config.as_mut().unwrap().updated_at = UnixMs(85);
    let blocked = world.why().unwrap();
    assert_eq!((blocked.by, blocked.since), (BlockedBy::NotStarted, UnixMs(85)));
}

#[test]
fn a_role_that_works_or_waits_for_work_is_not_blocked() {
    let mut world = working();
    assert_eq!(world.why(), None);
    world.set_turn(TurnState::Idle);
    assert_eq!(world.why(), None);
}

#[test]
fn every_fact_is_told_with_its_age_and_what_mends_it() {
    let table: Vec<String> = blocks()
        .into_iter()
        .map(|(by, block)| {
            let mut world = working();
            block(&mut world);
            let blocked = world.why().unwrap();
            assert_eq!(blocked.by, by);
            format!("{by:?} since {}: {} -> {}", blocked.since.0, blocked.message, blocked.repair.unwrap_or_default())
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    NotConfigured since 10: nothing says which tool and directory this role uses -> chatroom agent start --chatroom-id=c --role=builder --tool=NAME --dir=PATH
    Machine since 20: its machine desk is not connected -> chatroom machine daemon start
    Tool since 30: its tool echo cannot be started on desk: it is there, but that machine has no way to start it -> chatroom machine detect
    NotStarted since 50: its owner stopped it -> chatroom agent start --chatroom-id=c --role=builder
    Ended since 80: too often -> chatroom agent start --chatroom-id=c --role=builder
    Restarting since 80: it ended with exit code 3; it will be started again -> chatroom agent start --chatroom-id=c --role=builder
    Passing since 60: it is being started -> 
    Trouble since 75: its tool cannot work: nobody is signed in -> tool login
    Permission since 70: it waits for the answer to a permission request -> chatroom agent attach --chatroom-id=c --role=builder
    NeedsYou since 70: its turn has ended and its task is still open: somebody has to look -> chatroom agent attach --chatroom-id=c --role=builder
    "#);
}

#[test]
fn of_two_facts_the_one_that_counts_first_is_told() {
    let blocks = blocks();
    for (place, (first, block)) in blocks.iter().enumerate() {
        for (second, other) in &blocks[place + 1..] {
            let mut world = working();
            other(&mut world);
            block(&mut world);
            assert_eq!(world.why().map(|blocked| blocked.by), Some(*first), "{first:?} and {second:?}");
        }
    }
}

#[test]
fn a_permission_that_is_known_is_answered_by_its_id() {
    let mut world = working();
    world.set_turn(TurnState::WaitingForPermission);
    world.permission = Some(Permission {
        permission_id: "p1".into(),
        agent_id: "a".into(),
        chatroom_id: "c".into(),
        role: "builder".to_owned(),
        machine_id: "m".into(),
        request_id: "r".to_owned(),
        title: "cargo test".to_owned(),
        tool_kind: ToolKind::Execute,
        command: None,
        paths: Vec::new(),
        options: Vec::new(),
        asked_at: UnixMs(72),
        expires_at: UnixMs(99),
        state: PermissionState::Pending,
    });
    let blocked = world.why().unwrap();
    assert_eq!((blocked.by, blocked.since), (BlockedBy::Permission, UnixMs(72)));
    assert!(blocked.message.ends_with(": cargo test"), "{}", blocked.message);
    assert_eq!(blocked.repair.as_deref(), Some("chatroom permission answer p1 allow"));
}

#[test]
fn who_works_by_hand_needs_no_agent_and_no_config() {
    let mut world = working();
    (world.agent, world.config, world.desired, world.by_hand) = (None, None, None, true);
    world.machine.connection = ConnectionState::Disconnected;
    assert_eq!(world.why(), None);
}

#[test]
fn who_stopped_it_and_why_it_ended_are_told() {
    let message = |change: fn(&mut World)| {
        let mut world = working();
        world.set_state(ended(AgentExit::Lost));
        change(&mut world);
        world.why().unwrap().message
    };
    for by in [DesiredBy::Owner, DesiredBy::Machine, DesiredBy::Server] {
        let mut world = working();
        world.set_state(ended(AgentExit::Stopped));
        world.wanted().desired.running = false;
        world.wanted().desired.by = by;
        let word = if by == DesiredBy::Owner {
            "owner"
        } else if by == DesiredBy::Machine {
            "daemon"
        } else {
            "archived"
        };
        assert!(world.why().unwrap().message.contains(word));
    }
    assert_eq!(message(|world| world.desired = None), "it was never started");
    assert!(message(|world| world.room.archived_at = Some(UnixMs(99))).contains("archived"));
    assert!(message(|_| ()).starts_with("it was lost"));
    let failed = AgentState::Failed { at: UnixMs(80), reason: "its machine did not begin".to_owned() };
    let mut world = working();
    world.set_state(failed);
    assert!(world.why().unwrap().message.starts_with("its start failed: its machine did not begin"));
}
