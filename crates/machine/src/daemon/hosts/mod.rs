//! The live agents of this machine: a line to the host of each, over which work goes down and facts come up.
//!
//! A host outlives the daemon and keeps everything that it did in its transcript; nothing here remembers anything that a
//! daemon started anew could not find out again. For each agent one task does three things at once: it keeps the line
//! ([`mod@line`]), carries the transcript to the server ([`carrier`]), and brings tasks ([`courier`]). What owners have sent
//! ([`inbox`]) goes over the same lines.

mod carrier;
mod courier;
mod inbox;
mod line;

use super::session::Sessions;
use super::tasks::Tasks;
use crate::agent::run_dir::RunDir;
use crate::home::Home;
use chatroom_protocol::host::{HostOrder, HostState};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What owners have sent and no host has taken yet, by agent.
type Inputs = Arc<HashMap<AgentId, Vec<HostOrder>>>;

/// The live agents.
#[derive(Debug)]
pub(super) struct Hosts {
    home: Home,
    machine_id: MachineId,
    sessions: Arc<Sessions>,
    tasks: Tasks,
    inputs: watch::Sender<Inputs>,
    attended: Mutex<HashSet<AgentId>>,
}

/// One live agent, as those see it that care for it.
#[derive(Clone, Debug)]
struct Live {
    agent_id: AgentId,
    chatroom_id: ChatroomId,
    role: String,
    run: RunDir,
    /// How its host said that it stands, over the line that is open now or was last.
    state: watch::Receiver<Option<HostState>>,
    /// Cancelled when the host is gone.
    gone: CancellationToken,
}

impl Hosts {
    pub(super) fn new(home: Home, machine_id: MachineId, sessions: Arc<Sessions>, tasks: Tasks) -> Arc<Self> {
        let inputs = watch::Sender::new(Inputs::default());
        Arc::new(Self { home, machine_id, sessions, tasks, inputs, attended: Mutex::default() })
    }

    /// Cares for an agent until its host is gone and its transcript is carried, also when its host is gone already. Does
    /// nothing for one that is cared for, or whose tool was not started.
    pub(super) fn attend(self: &Arc<Self>, agent_id: &AgentId, run: &RunDir) {
        if run.is_told() {
            return;
        }
        let facts = run.facts();
        if facts.host().is_none() || facts.refusal().is_some() {
            return;
        }
        let Some(prepared) = facts.prepared else { return };
        if !self.attended().insert(agent_id.clone()) {
            return;
        }
        let (told, state) = watch::channel(None);
        let (order, orders) = watch::channel(None);
        let live = Live {
            agent_id: agent_id.clone(),
            chatroom_id: prepared.chatroom_id,
            role: prepared.role,
            run: run.clone(),
            state,
            gone: CancellationToken::new(),
        };
        let hosts = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::join!(
                line::keep(&live, told, orders, hosts.inputs.subscribe()),
                carrier::carry(&hosts, &live),
                courier::bring(&hosts, &live, order),
            );
            hosts.attended().remove(&live.agent_id);
        });
    }

    /// Cares for every agent of this machine whose transcript is not carried yet, and for what owners send.
    pub(super) fn begin(self: &Arc<Self>) {
        for (agent_id, run) in super::runs::directories(&self.home) {
            self.attend(&agent_id, &run);
        }
        self.tasks.spawn(inbox::follow(Arc::clone(self)));
    }

    fn attended(&self) -> std::sync::MutexGuard<'_, HashSet<AgentId>> {
        self.attended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
