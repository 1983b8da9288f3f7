//! Who calls, as the credential of the call tells.

use chatroom_protocol::id::{AgentId, ChatroomId, CredentialId, MachineId, UserId};
use chatroom_protocol::user::TokenScope;
use chatroom_protocol::{Callers, Refusal};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody known.
    Public,
    /// A user.
    User {
        /// Which.
        user_id: UserId,
        /// Their name.
        user_name: String,
        /// Whether it is the first user.
        is_admin: bool,
        /// By which credential.
        credential_id: CredentialId,
        /// What that credential may do.
        scope: TokenScope,
    },
    /// A machine, for itself.
    Machine {
        /// Its owner.
        user_id: UserId,
        /// Which.
        machine_id: MachineId,
        /// By which credential.
        credential_id: CredentialId,
    },
    /// An agent, for its own room and role.
    Agent {
        /// Its owner.
        user_id: UserId,
        /// The machine that it runs on.
        machine_id: MachineId,
        /// Which.
        agent_id: AgentId,
        /// Its room.
        chatroom_id: ChatroomId,
        /// Its role.
        role: String,
        /// By which credential.
        credential_id: CredentialId,
    },
}

impl Caller {
    /// The kind of caller, for comparison with what a function admits.
    #[must_use]
    pub const fn kind(&self) -> Callers {
        match self {
            Self::Public => Callers::PUBLIC,
            Self::User { .. } => Callers::USER,
            Self::Machine { .. } => Callers::MACHINE,
            Self::Agent { .. } => Callers::AGENT,
        }
    }

    /// The user for whom the call is made: the caller, or the owner of the calling machine or agent.
    ///
    /// # Errors
    /// `not_found` for a public caller, who owns nothing.
    pub fn user_id(&self) -> Result<&UserId, Refusal> {
        match self {
            Self::Public => Err(Refusal::not_found("user")),
            Self::User { user_id, .. } | Self::Machine { user_id, .. } | Self::Agent { user_id, .. } => Ok(user_id),
        }
    }

    /// The credential of the call.
    #[must_use]
    pub fn credential_id(&self) -> Option<&CredentialId> {
        match self {
            Self::Public => None,
            Self::User { credential_id, .. }
            | Self::Machine { credential_id, .. }
            | Self::Agent { credential_id, .. } => Some(credential_id),
        }
    }

    /// The same caller, by whichever credential: no answer of a query depends on that.
    #[must_use]
    pub fn without_credential(&self) -> Self {
        let mut caller = self.clone();
        match &mut caller {
            Self::Public => {}
            Self::User { credential_id, .. }
            | Self::Machine { credential_id, .. }
            | Self::Agent { credential_id, .. } => *credential_id = CredentialId(String::new()),
        }
        caller
    }

    /// A machine may speak of itself only; everybody else passes (ownership is for the store's `WHERE`).
    ///
    /// # Errors
    /// `not_found` when a machine or agent names another machine.
    pub fn may_name_machine(&self, machine: &MachineId) -> Result<(), Refusal> {
        match self {
            Self::Machine { machine_id, .. } | Self::Agent { machine_id, .. } if machine_id != machine => {
                Err(Refusal::not_found("machine"))
            }
            _ => Ok(()),
        }
    }

    /// An agent may speak of its own room and role only; everybody else passes.
    ///
    /// # Errors
    /// `not_found` when an agent names another room, or another role.
    pub fn may_name_role(&self, chatroom: &ChatroomId, role: &str) -> Result<(), Refusal> {
        self.may_name_chatroom(chatroom)?;
        match self {
            Self::Agent { role: own, .. } if !own.eq_ignore_ascii_case(role.trim()) => Err(Refusal::not_found("role")),
            _ => Ok(()),
        }
    }

    /// An agent may speak of its own room only; everybody else passes.
    ///
    /// # Errors
    /// `not_found` when an agent names another room.
    pub fn may_name_chatroom(&self, chatroom: &ChatroomId) -> Result<(), Refusal> {
        match self {
            Self::Agent { chatroom_id, .. } if chatroom_id != chatroom => Err(Refusal::not_found("chatroom")),
            _ => Ok(()),
        }
    }

    /// Who it is, for the audit and for idempotency records: the same words for the same caller under every credential.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Public => "public".to_owned(),
            Self::User { user_id, .. } => format!("user:{user_id}"),
            Self::Machine { machine_id, .. } => format!("machine:{machine_id}"),
            Self::Agent { agent_id, .. } => format!("agent:{agent_id}"),
        }
    }
}
