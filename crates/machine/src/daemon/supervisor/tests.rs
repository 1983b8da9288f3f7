//! The supervisor against a model of the world: a server that keeps its word, a disk, hosts, crashes at any instant.

use super::*;
use crate::daemon::journal::Intent;
use chatroom_protocol::command::{CommandRequest, NoPayload, RoleSlot, StartAgent, WorkOrder};
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::tool::{PermissionMode, ToolName};
use proptest::prelude::*;

const LATE: i64 = 100_000;

#[derive(Clone, Debug, PartialEq)]
enum ServerState {
    Pending,
    Processing(i64),
    Ended(Ack),
}

#[derive(Clone, Debug)]
struct ServerCommand {
    request: Result<CommandRequest, String>,
    agent: Option<AgentId>,
    state: ServerState,
    ends_recorded: usize,
    expires_at: UnixMs,
}

/// What an agent's run directory and processes would be.
#[derive(Clone, Debug, Default)]
struct Run {
    claimed: bool,
    execs: usize,
    exec_at: Option<UnixMs>,
    end: Option<Option<(AgentExit, UnixMs)>>,
    reported: bool,
    slot: Option<Slot>,
}

struct World {
    now: UnixMs,
    offset_ms: i64,
    epoch: i64,
    server: BTreeMap<CommandId, ServerCommand>,
    journal: BTreeMap<CommandId, Entry>,
    runs: BTreeMap<AgentId, Run>,
    supervisor: Supervisor,
    /// Effects that nobody has carried out yet.
    open: Vec<Effect>,
    /// Starts that this life of the daemon asked for.
    starts: BTreeMap<CommandId, usize>,
    sent: usize,
    gave_up: bool,
}

fn about() -> MachineStatus {
    MachineStatus { hostname: "h".to_owned(), cli_version: "1".to_owned(), pid: 1, agents: vec![] }
}

fn role(number: u8) -> String {
    format!("role{}", number % 2)
}

fn order(agent: &AgentId, role: &str) -> StartOrder {
    StartOrder {
        agent_id: agent.clone(),
        chatroom_id: ChatroomId::from("room"),
        role: role.to_owned(),
        tool: ToolName::from("echo"),
        model: None,
        working_dir: "/".to_owned(),
        permission_mode: PermissionMode::Full,
        resume: None,
        prompt: String::new(),
        prompt_version: String::new(),
        credential: String::new(),
    }
}

impl World {
    fn new(offset_ms: i64) -> Self {
        let mut world = Self {
            now: UnixMs(1_000_000),
            offset_ms,
            epoch: 0,
            server: BTreeMap::new(),
            journal: BTreeMap::new(),
            runs: BTreeMap::new(),
            supervisor: Supervisor::new(about(), &BTreeMap::new(), vec![]),
            open: vec![],
            starts: BTreeMap::new(),
            sent: 0,
            gave_up: false,
        };
        world.open_session();
        world
    }

    fn server_now(&self) -> UnixMs {
        self.now + self.offset_ms
    }

    /// What a new process would know.
    fn restart(&mut self) {
        let known = self.runs.iter().filter(|(_, run)| run.claimed).map(|(agent, run)| KnownAgent {
            agent: agent.clone(),
            slot: run.slot.clone().unwrap(),
            fate: match &run.end {
                Some(Some((exit, at))) => AgentFate::Ended { exit: exit.clone(), at: *at },
                Some(None) => AgentFate::NeverRan,
                None => AgentFate::Running { pid: 1, started_at: UnixMs(1) },
            },
            reported: run.reported,
        });
        self.supervisor = Supervisor::new(about(), &self.journal, known.collect());
        self.open.clear();
        self.starts.clear();
        self.open_session();
    }

    fn open_session(&mut self) {
        self.epoch += 1;
        self.feed(Event::SessionOpened { clock_offset_ms: self.offset_ms, unwanted: vec![] });
        self.offer();
    }

    fn feed(&mut self, event: Event) {
        let effects = self.supervisor.handle(event, self.now);
        for effect in &effects {
            if let Effect::Start { command, .. } = effect {
                let starts = self.starts.entry(command.clone()).or_default();
                *starts += 1;
                assert_eq!(*starts, 1, "{command} was begun twice by one daemon");
            }
        }
        self.open.extend(effects);
    }

    fn send(&mut self, kind: u8, number: u8) {
        self.sent += 1;
        let command = CommandId::from(format!("c{:04}", self.sent));
        let (chatroom_id, role) = (ChatroomId::from("room"), role(number));
        let request = match kind % 6 {
            0 | 1 => Ok(CommandRequest::StartAgent(StartAgent { chatroom_id, role, take_over: false })),
            2 => Ok(CommandRequest::StopAgent(RoleSlot { chatroom_id, role })),
            3 => Ok(CommandRequest::RestartAgent(RoleSlot { chatroom_id, role })),
            4 => Ok(CommandRequest::Ping(NoPayload {})),
            _ => Err("sing".to_owned()),
        };
        let starts = matches!(request, Ok(CommandRequest::StartAgent(_) | CommandRequest::RestartAgent(_)));
        let agent = starts.then(|| AgentId::from(format!("a{:04}", self.sent)));
        let expires_at = self.server_now() + LATE;
        let state = ServerState::Pending;
        self.server.insert(command, ServerCommand { request, agent, state, ends_recorded: 0, expires_at });
    }

    /// Delivers what the subscription would answer now.
    fn offer(&mut self) {
        let server_now = self.server_now();
        for known in self.server.values_mut() {
            if known.state == ServerState::Pending && server_now > known.expires_at {
                known.state =
                    ServerState::Ended(Ack::Failed { failure: CommandFailure::new(FailureCode::Expired, "") });
                known.ends_recorded += 1;
            }
        }
        let offers = self.server.iter().filter_map(|(command, known)| {
            let claimed_before = match known.state {
                ServerState::Pending => false,
                ServerState::Processing(epoch) if epoch < self.epoch => true,
                _ => return None,
            };
            Some(Offer {
                command: command.clone(),
                request: known.request.clone(),
                expires_at: Some(known.expires_at),
                claimed_before,
            })
        });
        let offers = offers.collect();
        self.feed(Event::Offers(offers));
    }

    /// The newest agent of the role that the server does not know to have ended.
    fn agent_of(&self, role: &str) -> Option<AgentId> {
        let slot = Slot::new(&ChatroomId::from("room"), role);
        self.runs
            .iter()
            .filter(|(_, run)| run.slot.as_ref() == Some(&slot) && run.execs > 0 && !run.reported)
            .map(|(agent, _)| agent.clone())
            .next_back()
    }

    fn claim(&mut self, command: &CommandId) -> ClaimAnswer {
        let order = match &self.server[command].request {
            Ok(CommandRequest::StartAgent(start)) => {
                Some(WorkOrder::Start(order(self.server[command].agent.as_ref().unwrap(), &start.role)))
            }
            Ok(CommandRequest::RestartAgent(slot)) => Some(WorkOrder::Restart {
                stop: self.agent_of(&slot.role),
                start: order(self.server[command].agent.as_ref().unwrap(), &slot.role),
            }),
            Ok(CommandRequest::StopAgent(slot)) => Some(WorkOrder::Stop { agent_id: self.agent_of(&slot.role) }),
            Ok(CommandRequest::CheckDir(dir)) => Some(WorkOrder::CheckDir { path: dir.path.clone() }),
            Ok(_) => Some(WorkOrder::Ping),
            Err(_) => None,
        };
        let (server_now, epoch) = (self.server_now(), self.epoch);
        let known = self.server.get_mut(command).unwrap();
        match known.state {
            ServerState::Pending if server_now > known.expires_at => return ClaimAnswer::Lost, // Its reconciler ends it.
            ServerState::Pending | ServerState::Processing(_) => known.state = ServerState::Processing(epoch),
            ServerState::Ended(_) => return ClaimAnswer::Lost,
        }
        ClaimAnswer::Claimed(order.map(Box::new))
    }

    /// A strict server: the end is taken only from the session that claimed.
    fn ack(&mut self, command: &CommandId, ack: Ack) -> AckAnswer {
        let known = self.server.get_mut(command).unwrap();
        if known.state != ServerState::Processing(self.epoch) {
            return AckAnswer::Stale;
        }
        known.state = ServerState::Ended(ack);
        known.ends_recorded += 1;
        AckAnswer::Applied
    }

    /// Carries out one effect. With `crash` the daemon dies after it, before anybody hears of it.
    fn carry_out(&mut self, effect: Effect, crash: bool) {
        let events = match effect {
            Effect::Claim(command) => {
                let answer = self.claim(&command);
                vec![Event::Claimed { command, answer }]
            }
            Effect::WriteIntent { command, kind, agent, .. } => {
                let intent = Intent {
                    command_id: command.clone(),
                    kind: kind.to_owned(),
                    agent_id: agent,
                    start: None,
                    boot_id: String::new(),
                    epoch: self.epoch,
                    at: self.now,
                };
                self.journal.entry(command.clone()).or_default().intent = Some(intent);
                vec![Event::IntentWritten { command, result: Ok(()) }]
            }
            Effect::Start { command, order, not_after } => self.start(command, &order, not_after),
            Effect::Look { command, .. } => vec![Event::Looked { command, result: Ok(CommandResult::Pong) }],
            Effect::DetectTools => Vec::new(),
            Effect::Stop { agent, .. } => {
                let now = self.now;
                let run = self.runs.get_mut(&agent).unwrap();
                let end = run.end.get_or_insert(Some((AgentExit::Stopped, now))).clone();
                vec![Event::AgentEnded { agent, end }]
            }
            Effect::WriteOutcome { command, ack } => {
                self.journal.entry(command.clone()).or_default().outcome = Some(ack);
                vec![Event::OutcomeWritten { command }]
            }
            Effect::SendOutcome { command, ack } => {
                let answer = self.ack(&command, ack);
                vec![Event::Acked { command, answer }]
            }
            Effect::Settle(command) => {
                self.journal.remove(&command);
                vec![]
            }
            Effect::ReportEnds(reports) => {
                for report in &reports {
                    self.runs.get_mut(&report.agent_id).unwrap().reported = true;
                }
                vec![Event::EndsReported(reports.into_iter().map(|report| report.agent_id).collect())]
            }
            Effect::GiveUp => {
                self.gave_up = true;
                vec![]
            }
        };
        if crash {
            self.restart();
        } else {
            for event in events {
                self.feed(event);
            }
        }
    }

    fn start(&mut self, command: CommandId, order: &StartOrder, not_after: UnixMs) -> Vec<Event> {
        let agent = order.agent_id.clone();
        let now = self.now;
        let run = self.runs.entry(agent.clone()).or_default();
        run.slot = Some(Slot::new(&order.chatroom_id, &order.role));
        if !std::mem::replace(&mut run.claimed, true) {
            if now > not_after {
                run.end = Some(None);
            } else {
                run.execs += 1;
                run.exec_at = Some(now);
            }
        }
        let outcome = match run.end {
            Some(None) => StartOutcome::Failed(CommandFailure::new(FailureCode::Expired, "late")),
            _ => StartOutcome::Started { pid: 1 },
        };
        let mut events = vec![];
        if run.end != Some(None) {
            events.push(Event::AgentStarted { agent: agent.clone(), pid: 1, started_at: now });
        }
        events.push(Event::StartEnded { command, agent: agent.clone(), outcome });
        if let Some(end @ Some(_)) = run.end.clone() {
            events.push(Event::AgentEnded { agent, end });
        }
        events
    }

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        for _ in 0..1000 {
            if self.open.is_empty() {
                self.offer();
                if self.open.is_empty() {
                    return;
                }
            }
            let effect = self.open.remove(0);
            self.carry_out(effect, false);
        }
        panic!("it never comes to rest: {:?}", self.open);
    }

    fn check(&self) {
        for (command, known) in &self.server {
            assert!(matches!(known.state, ServerState::Ended(_)), "{command} is left {:?}", known.state);
            assert_eq!(known.ends_recorded, 1, "{command}");
            let (ServerState::Ended(ack), Some(agent)) = (&known.state, &known.agent) else { continue };
            let execs = self.runs.get(agent).map_or(0, |run| run.execs);
            match ack {
                Ack::Completed { .. } => assert_eq!(execs, 1, "{command} is completed"),
                _ => assert_eq!(execs, 0, "{command}: {ack:?}"),
            }
        }
        for (agent, run) in &self.runs {
            assert!(run.execs <= 1, "{agent} was started {} times", run.execs);
        }
        for number in 0..2 {
            let slot = Slot::new(&ChatroomId::from("room"), &role(number));
            let alive = |run: &&Run| run.execs > 0 && run.end.is_none() && run.slot.as_ref() == Some(&slot);
            assert!(self.runs.values().filter(alive).count() <= 1, "two agents in {slot:?}");
        }
        assert!(self.journal.is_empty(), "{:?}", self.journal);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8, u8),
    Offer,
    CarryOut(prop::sample::Index, bool),
    Crash,
    Exit(prop::sample::Index),
    Pass(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<u8>()).prop_map(|(kind, number)| Step::Send(kind, number)),
        3 => Just(Step::Offer),
        12 => any::<prop::sample::Index>().prop_map(|at| Step::CarryOut(at, false)),
        2 => any::<prop::sample::Index>().prop_map(|at| Step::CarryOut(at, true)),
        1 => Just(Step::Crash),
        1 => any::<prop::sample::Index>().prop_map(Step::Exit),
        1 => (0..LATE).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn each_command_is_carried_out_at_most_once_and_its_end_is_recorded_once(
        steps in proptest::collection::vec(any_step(), 1..80),
        offset_ms in -10_000_000i64..10_000_000,
    ) {
        let mut world = World::new(offset_ms);
        for step in steps {
            match step {
                Step::Send(kind, number) => world.send(kind, number),
                Step::Offer => world.offer(),
                Step::CarryOut(at, crash) if !world.open.is_empty() => {
                    let effect = world.open.remove(at.index(world.open.len()));
                    world.carry_out(effect, crash);
                }
                Step::Crash => world.restart(),
                Step::Exit(at) => {
                    let now = world.now;
                    let alive: Vec<_> = world.runs.iter().filter(|(_, run)| run.execs > 0 && run.end.is_none()).map(|(agent, _)| agent.clone()).collect();
                    if !alive.is_empty() {
                        let agent = alive[at.index(alive.len())].clone();
                        let end = Some((AgentExit::Code { code: 0 }, now));
                        world.runs.get_mut(&agent).unwrap().end = Some(end.clone());
                        world.feed(Event::AgentEnded { agent, end });
                    }
                }
                Step::Pass(ms) => world.now = world.now + ms,
                Step::CarryOut(..) => {}
            }
        }
        world.settle();
        // Once more from the disk: nothing may happen again.
        world.restart();
        world.settle();
        prop_assert!(!world.gave_up);
        for run in world.runs.values().filter(|run| run.execs > 0) {
            prop_assert!(run.exec_at.is_some());
        }
        world.check();
    }
}

fn ended(world: &World, command: &str) -> Ack {
    match &world.server[&CommandId::from(command)].state {
        ServerState::Ended(ack) => ack.clone(),
        state => panic!("{command} is {state:?}"),
    }
}

fn code(ack: &Ack) -> Option<FailureCode> {
    match ack {
        Ack::Failed { failure } => Some(failure.code),
        _ => None,
    }
}

fn take(world: &mut World, wanted: impl Fn(&Effect) -> bool) {
    let at = world.open.iter().position(wanted).unwrap_or_else(|| panic!("not there: {:?}", world.open));
    let effect = world.open.remove(at);
    world.carry_out(effect, false);
}

#[test]
fn a_slow_stop_of_one_role_does_not_hold_up_another() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.offer();
    world.settle();
    world.send(2, 0); // Stop role0: its effect stays open.
    world.send(0, 1); // Start role1.
    world.send(0, 0); // Start role0 again: waits.
    world.offer();
    for _ in 0..40 {
        let Some(at) = world.open.iter().position(|effect| !matches!(effect, Effect::Stop { .. })) else { break };
        let effect = world.open.remove(at);
        world.carry_out(effect, false);
    }
    assert_eq!(code(&ended(&world, "c0003")), None);
    assert_eq!(world.server[&CommandId::from("c0004")].state, ServerState::Pending);
    world.settle();
    assert!(matches!(ended(&world, "c0002"), Ack::Completed { result: CommandResult::Stopped { .. } }));
    assert_eq!(code(&ended(&world, "c0004")), None);
    world.check();
}

#[test]
fn a_stop_overrides_starts_of_its_role_that_have_not_begun() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.send(0, 1);
    world.send(2, 0);
    world.offer();
    world.settle();
    assert_eq!(code(&ended(&world, "c0001")), Some(FailureCode::Cancelled));
    assert_eq!(code(&ended(&world, "c0002")), None);
    assert!(matches!(ended(&world, "c0003"), Ack::Completed { result: CommandResult::NotRunning }));
    world.check();
}

#[test]
fn a_start_whose_deadline_passes_while_the_intent_is_written_is_not_begun() {
    let mut world = World::new(5_000_000);
    world.send(0, 0);
    world.offer();
    take(&mut world, |effect| matches!(effect, Effect::Claim(_)));
    world.now = world.now + (LATE + TOLERANCE_MS + 1);
    world.settle();
    assert_eq!(code(&ended(&world, "c0001")), Some(FailureCode::Expired));
    world.check();
}

#[test]
fn a_command_of_an_unknown_type_fails_and_the_others_go_on() {
    let mut world = World::new(0);
    world.send(5, 0);
    world.send(4, 0);
    world.offer();
    world.settle();
    assert_eq!(code(&ended(&world, "c0001")), Some(FailureCode::Unsupported));
    assert_eq!(ended(&world, "c0002"), Ack::Completed { result: CommandResult::Pong });
}

#[test]
fn a_restart_ends_the_old_agent_before_it_starts_the_new_one() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.offer();
    world.settle();
    world.send(3, 0);
    world.offer();
    take(&mut world, |effect| matches!(effect, Effect::Claim(_)));
    take(&mut world, |effect| matches!(effect, Effect::WriteIntent { .. }));
    assert_eq!(world.open, [Effect::Stop { agent: AgentId::from("a0001"), why: StopReason::Wanted }]);
    world.settle();
    assert!(world.runs[&AgentId::from("a0001")].end.is_some());
    assert_eq!(world.runs[&AgentId::from("a0002")].execs, 1);
    world.check();
}

#[test]
fn a_break_in_one_command_ends_that_command_only() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.send(4, 0);
    world.offer();
    take(&mut world, |effect| matches!(effect, Effect::Claim(command) if command.as_str() == "c0001"));
    take(&mut world, |effect| matches!(effect, Effect::WriteIntent { .. }));
    world.open.retain(|effect| !matches!(effect, Effect::Start { .. }));
    world.feed(Event::Broke { command: CommandId::from("c0001") });
    world.settle();
    assert_eq!(code(&ended(&world, "c0001")), Some(FailureCode::Internal));
    assert_eq!(code(&ended(&world, "c0002")), None);
}

#[test]
fn a_full_disk_fails_the_command_and_starts_nothing() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.offer();
    take(&mut world, |effect| matches!(effect, Effect::Claim(_)));
    world.open.clear();
    world.feed(Event::IntentWritten { command: CommandId::from("c0001"), result: Err("no space".to_owned()) });
    world.settle();
    assert_eq!(code(&ended(&world, "c0001")), Some(FailureCode::StorageFailed));
    world.check();
}

#[test]
fn a_superseded_daemon_does_nothing_any_more() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.offer();
    world.open.clear();
    world.feed(Event::Superseded);
    assert_eq!(world.open, [Effect::GiveUp]);
    world.open.clear();
    world.feed(Event::Claimed { command: CommandId::from("c0001"), answer: ClaimAnswer::Claimed(None) });
    world.offer();
    assert_eq!(world.open, []);
}

#[test]
fn a_stop_of_the_daemon_ends_its_agents_and_begins_nothing() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.offer();
    world.settle();
    world.send(0, 1);
    world.offer();
    world.feed(Event::StopRequested(StopMode::EndAgents));
    assert!(!world.supervisor.is_quiet());
    world.settle();
    assert_eq!(code(&ended(&world, "c0002")), Some(FailureCode::Cancelled));
    assert!(world.supervisor.living().is_empty());
    assert!(world.supervisor.is_quiet());
}

#[test]
fn a_stop_that_keeps_the_agents_leaves_the_claim_to_the_next_daemon() {
    let mut world = World::new(0);
    world.send(0, 0);
    world.offer();
    world.feed(Event::StopRequested(StopMode::KeepAgents));
    while !world.open.is_empty() {
        let effect = world.open.remove(0);
        world.carry_out(effect, false);
    }
    assert!(world.supervisor.is_quiet());
    assert_eq!(world.server[&CommandId::from("c0001")].state, ServerState::Processing(1));
    world.restart();
    world.settle();
    assert_eq!(world.runs[&AgentId::from("a0001")].execs, 1);
    world.check();
}
