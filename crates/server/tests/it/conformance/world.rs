//! A database of its own for each case, opened twice: two pools, as two server processes would have.

use crate::database::on_postgres;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Agent, AgentSession, AgentState};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, MessageId, TaskId, UserId};
use chatroom_protocol::room::{Chatroom, MessageKind, Team, TeamRole, USER_ROLE};
use chatroom_protocol::tool::{PermissionMode, ToolName};
use chatroom_server::live::{Hub, Topic, Waker};
use chatroom_server::secret;
use chatroom_server::store::messages::NewMessage;
use chatroom_server::store::tasks::NewTask;
use chatroom_server::store::users::User;
use chatroom_server::store::{self, Backend, Store, Tx, agents, chatrooms, machines, messages, tasks, users};
use std::future::Future;
use std::sync::Arc;

/// When cases happen.
pub(crate) const NOW: UnixMs = UnixMs(1_800_000_000_000);

/// How often a write may lose its race before the test gives up.
const ATTEMPTS: usize = 100;

/// The database of a case.
#[derive(Debug)]
pub(crate) struct World {
    /// The first pool.
    pub(crate) store: Store,
    /// The second pool.
    other: Store,
    hub: Arc<Hub>,
    _dir: Option<tempfile::TempDir>,
}

/// Runs a case in a fresh database and removes it, whether the case holds or not.
pub(crate) async fn run<F, Fut>(backend: Backend, case: F)
where
    F: FnOnce(Arc<World>) -> Fut,
    Fut: Future<Output = ()>,
{
    match backend {
        Backend::Sqlite => {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("chatroom.db");
            let (hub, second_hub) = hubs();
            let store = Store::open_sqlite(&path, Arc::clone(&hub)).await.unwrap();
            let other = Store::open_sqlite(&path, second_hub).await.unwrap();
            case(Arc::new(World { store, other, hub, _dir: Some(dir) })).await;
        }
        Backend::Postgres => {
            on_postgres(async |url| {
                let (hub, second_hub) = hubs();
                let store = Store::open_postgres(&url, Arc::clone(&hub)).await.unwrap();
                let other = Store::open_postgres(&url, second_hub).await.unwrap();
                case(Arc::new(World { store: store.clone(), other: other.clone(), hub, _dir: None })).await;
                store.close().await;
                other.close().await;
            })
            .await;
        }
    }
}

fn hubs() -> (Arc<Hub>, Arc<Hub>) {
    (Arc::new(Hub::new("first")), Arc::new(Hub::new("second")))
}

impl World {
    /// Writes in one transaction, again when it lost a race.
    pub(crate) async fn write<T>(&self, deed: impl AsyncFn(&mut Tx) -> store::Result<T>) -> T {
        write(&self.store, &deed).await
    }

    /// Reads one snapshot.
    pub(crate) async fn read<T>(&self, look: impl AsyncFn(&mut Tx) -> store::Result<T>) -> T {
        let mut tx = self.store.read().await.unwrap();
        look(&mut tx).await.unwrap()
    }

    /// Does the same from two pools at once, each in its own transaction, run again when it lost a race.
    pub(crate) async fn race<T>(&self, deed: impl AsyncFn(&mut Tx) -> store::Result<T>) -> [T; 2] {
        tokio::join!(write(&self.store, &deed), write(&self.other, &deed)).into()
    }

    /// Does two things from two pools at once, each in its own transaction, run again when it lost a race.
    pub(crate) async fn race_two<T>(
        &self,
        one: impl AsyncFn(&mut Tx) -> store::Result<T>,
        two: impl AsyncFn(&mut Tx) -> store::Result<T>,
    ) -> [T; 2] {
        tokio::join!(write(&self.store, &one), write(&self.other, &two)).into()
    }

    /// Does the same from two pools at once and tells how often it was `true`; it must be once.
    pub(crate) async fn race_is_won_once(&self, deed: impl AsyncFn(&mut Tx) -> store::Result<bool>) {
        let won = self.race(deed).await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "a race must be won exactly once: {won:?}");
    }

    /// What the writes of the first pool wake, from now on.
    pub(crate) fn watch(&self, topics: &[Topic]) -> Arc<Waker> {
        let waker = Arc::new(Waker::default());
        topics.iter().for_each(|topic| drop(self.hub.watch(topic, &waker)));
        waker
    }

    /// A new user.
    pub(crate) async fn user(&self, name: &str) -> UserId {
        let user = User { id: secret::new_id(), name: name.to_owned(), is_admin: false, signed_in_at: None };
        self.write(async |tx| users::insert(tx, &user, NOW).await).await;
        user.id
    }

    /// A new room with the roles `planner` and `builder`.
    pub(crate) async fn room(&self, user_id: &UserId) -> Chatroom {
        let room = new_room("Shop", NOW);
        self.write(async |tx| chatrooms::insert(tx, user_id, &room).await).await;
        room
    }

    /// A new machine.
    pub(crate) async fn machine(&self, user_id: &UserId) -> MachineId {
        let id = MachineId(uuid::Uuid::new_v4().to_string());
        let facts = machines::Facts {
            hostname: "host".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            cli_version: "1".to_owned(),
            cli_path: "/opt/chatroom".to_owned(),
            tools: Vec::new(),
        };
        self.write(async |tx| machines::insert(tx, &id, user_id, &facts, NOW).await).await;
        id
    }

    /// A new agent that is being started.
    pub(crate) async fn agent(&self, user_id: &UserId, room: &ChatroomId, role: &str, machine: &MachineId) -> AgentId {
        let agent_id: AgentId = secret::new_id();
        let agent = Agent {
            agent_id: agent_id.clone(),
            chatroom_id: room.clone(),
            role: role.to_owned(),
            machine_id: machine.clone(),
            tool: ToolName::from("echo"),
            model: None,
            working_dir: "/".to_owned(),
            permission_mode: PermissionMode::default(),
            session: AgentSession::default(),
            command_id: secret::new_id(),
            prompt_version: None,
            state: AgentState::Starting { since: NOW },
            created_at: NOW,
            heard_at: None,
        };
        let row = agents::Row { agent, user_id: user_id.clone(), failure: None };
        self.write(async |tx| agents::insert(tx, &row).await).await;
        agent_id
    }

    /// A message of the user to a role, with its task.
    pub(crate) async fn task(&self, user_id: &UserId, room: &ChatroomId, role: &str, content: &str) -> TaskId {
        let (task_id, message_id): (TaskId, MessageId) = (secret::new_id(), secret::new_id());
        self.write(async |tx| {
            let message = NewMessage {
                message_id: &message_id,
                chatroom_id: room,
                kind: MessageKind::Message,
                sender_role: USER_ROLE,
                target_role: role,
                content,
                task_id: Some(&task_id),
                artifacts: &[],
            };
            let position = messages::insert(tx, user_id, &message, true, NOW).await?.unwrap();
            let task = NewTask {
                task_id: &task_id,
                chatroom_id: room,
                role,
                position,
                message_id: &message_id,
                from_role: USER_ROLE,
                content,
            };
            tasks::insert(tx, &task, NOW).await
        })
        .await;
        task_id
    }
}

/// A room that is not stored yet.
pub(crate) fn new_room(name: &str, created_at: UnixMs) -> Chatroom {
    let role = |name: &str, to: &str| TeamRole {
        name: name.to_owned(),
        title: name.to_owned(),
        instructions: "Work.".to_owned(),
        hands_to: vec![to.to_owned(), USER_ROLE.to_owned()],
    };
    Chatroom {
        chatroom_id: secret::new_id(),
        name: name.to_owned(),
        team: Team {
            name: "duo".to_owned(),
            roles: vec![role("planner", "builder"), role("builder", "planner")],
            entry_role: "planner".to_owned(),
        },
        created_at,
        archived_at: None,
    }
}

async fn write<T>(store: &Store, deed: &impl AsyncFn(&mut Tx) -> store::Result<T>) -> T {
    for _ in 0..ATTEMPTS {
        let mut tx = store.write().await.unwrap();
        let failed = match deed(&mut tx).await {
            Ok(done) => match tx.commit().await {
                Ok(()) => return done,
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        assert!(failed.is_retryable(), "{failed:?}");
    }
    panic!("lost {ATTEMPTS} races in a row");
}
