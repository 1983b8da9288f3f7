-- Ids are TEXT, times BIGINT milliseconds since 1970 UTC, structures JSON in TEXT, flags BIGINT 0 or 1.

CREATE TABLE users (
    id           TEXT PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL UNIQUE,
    is_admin     BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    signed_in_at BIGINT
);

-- Every secret that somebody can present, by its SHA-256 alone. kind: cli, browser, script, link, machine, agent.
CREATE TABLE credentials (
    id           TEXT PRIMARY KEY NOT NULL,
    token_hash   TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id),
    machine_id   TEXT,
    agent_id     TEXT,
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX credentials_by_user ON credentials (user_id, kind);
CREATE INDEX credentials_by_machine ON credentials (machine_id, kind);
CREATE INDEX credentials_by_agent ON credentials (agent_id);

CREATE TABLE device_logins (
    id               TEXT PRIMARY KEY NOT NULL,
    device_code_hash TEXT NOT NULL UNIQUE,
    user_code        TEXT NOT NULL UNIQUE,
    machine_name     TEXT NOT NULL,
    address          TEXT NOT NULL,
    status           TEXT NOT NULL,
    user_id          TEXT REFERENCES users (id),
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX device_logins_by_expiry ON device_logins (expires_at);

CREATE TABLE machines (
    id                 TEXT PRIMARY KEY NOT NULL,
    user_id            TEXT NOT NULL REFERENCES users (id),
    name               TEXT NOT NULL,
    hostname           TEXT NOT NULL,
    os                 TEXT NOT NULL,
    arch               TEXT NOT NULL,
    cli_version        TEXT NOT NULL,
    cli_path           TEXT NOT NULL,
    tools              TEXT NOT NULL,
    registered_at      BIGINT NOT NULL,
    last_seen_at       BIGINT NOT NULL,
    removed_at         BIGINT,
    epoch              BIGINT NOT NULL,
    connection         TEXT NOT NULL,
    connection_since   BIGINT NOT NULL,
    connection_socket  TEXT,
    connection_replica TEXT
);
CREATE INDEX machines_by_user ON machines (user_id);
CREATE INDEX machines_by_replica ON machines (connection_replica);

CREATE TABLE daemon_sessions (
    machine_id TEXT NOT NULL REFERENCES machines (id),
    epoch      BIGINT NOT NULL,
    session_id TEXT NOT NULL,
    boot_id    TEXT NOT NULL,
    opened_at  BIGINT NOT NULL,
    PRIMARY KEY (machine_id, epoch),
    UNIQUE (machine_id, session_id)
);

CREATE TABLE chatrooms (
    id            TEXT PRIMARY KEY NOT NULL,
    user_id       TEXT NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    team          TEXT NOT NULL,
    last_sequence BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    archived_at   BIGINT
);
CREATE INDEX chatrooms_by_user ON chatrooms (user_id, created_at);

CREATE TABLE teams (
    user_id    TEXT NOT NULL REFERENCES users (id),
    name       TEXT NOT NULL,
    definition TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, name)
);

CREATE TABLE agent_configs (
    machine_id      TEXT NOT NULL REFERENCES machines (id),
    chatroom_id     TEXT NOT NULL REFERENCES chatrooms (id),
    role            TEXT NOT NULL,
    tool            TEXT NOT NULL,
    model           TEXT,
    working_dir     TEXT NOT NULL,
    permission_mode TEXT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (machine_id, chatroom_id, role)
);
CREATE INDEX agent_configs_by_chatroom ON agent_configs (chatroom_id);

-- agent_id: the agent that a start or restart makes. stop_agent_id: the agent that a stop or restart ends.
CREATE TABLE machine_commands (
    id            TEXT PRIMARY KEY NOT NULL,
    machine_id    TEXT NOT NULL REFERENCES machines (id),
    user_id       TEXT NOT NULL REFERENCES users (id),
    kind          TEXT NOT NULL,
    payload       TEXT NOT NULL,
    status        TEXT NOT NULL,
    agent_id      TEXT,
    stop_agent_id TEXT,
    claimed_epoch BIGINT,
    claimed_at    BIGINT,
    result        TEXT,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX machine_commands_by_machine ON machine_commands (machine_id, status, created_at);
CREATE INDEX machine_commands_open ON machine_commands (expires_at) WHERE status IN ('pending', 'processing');

CREATE TABLE agents (
    id              TEXT PRIMARY KEY NOT NULL,
    user_id         TEXT NOT NULL REFERENCES users (id),
    chatroom_id     TEXT NOT NULL REFERENCES chatrooms (id),
    role            TEXT NOT NULL,
    machine_id      TEXT NOT NULL REFERENCES machines (id),
    tool            TEXT NOT NULL,
    model           TEXT,
    working_dir     TEXT NOT NULL,
    permission_mode TEXT NOT NULL,
    command_id      TEXT NOT NULL,
    state           TEXT NOT NULL,
    state_since     BIGINT NOT NULL,
    pid             BIGINT,
    exit_how        TEXT,
    failure         TEXT,
    heard_at        BIGINT,
    created_at      BIGINT NOT NULL
);
-- At most one agent holds a role. One that is stopping has let go of it: its machine runs the stop before any later start.
CREATE UNIQUE INDEX agents_slot ON agents (chatroom_id, role) WHERE state IN ('starting', 'running');
CREATE INDEX agents_by_chatroom ON agents (chatroom_id, created_at);
CREATE INDEX agents_by_machine ON agents (machine_id, state);
CREATE INDEX agents_by_user ON agents (user_id, created_at);

CREATE TABLE messages (
    id          TEXT PRIMARY KEY NOT NULL,
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    sequence    BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    sender_role TEXT NOT NULL,
    target_role TEXT NOT NULL,
    content     TEXT NOT NULL,
    task_id     TEXT,
    created_at  BIGINT NOT NULL,
    UNIQUE (chatroom_id, sequence)
);

-- position: the sequence of the message that made the task; a role's queue is ordered by it.
-- A pending task with a holder was handed to it, not confirmed in time, and to nobody else since: its late answer still counts.
-- ended_delivery and next_*: what ended the task, so that the same hand-over asked again gets the same answer.
CREATE TABLE tasks (
    id               TEXT PRIMARY KEY NOT NULL,
    chatroom_id      TEXT NOT NULL REFERENCES chatrooms (id),
    role             TEXT NOT NULL,
    state            TEXT NOT NULL,
    position         BIGINT NOT NULL,
    delivery         BIGINT NOT NULL,
    confirmed        BIGINT NOT NULL,
    holder_waiter    TEXT,
    holder_agent     TEXT,
    handed_at        BIGINT,
    message_id       TEXT NOT NULL REFERENCES messages (id),
    from_role        TEXT NOT NULL,
    content          TEXT NOT NULL,
    ended_delivery   BIGINT,
    next_message_id  TEXT,
    next_task_id     TEXT,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
CREATE INDEX tasks_by_queue ON tasks (chatroom_id, role, state, position);
-- A role holds one task at a time.
CREATE UNIQUE INDEX tasks_held ON tasks (chatroom_id, role) WHERE state IN ('acknowledged', 'in_progress');
CREATE INDEX tasks_by_holder ON tasks (holder_agent) WHERE state IN ('acknowledged', 'in_progress');
CREATE INDEX tasks_unconfirmed ON tasks (handed_at) WHERE state = 'acknowledged' AND confirmed = 0;

-- The newest waiter of each role, whether a socket of it is open, and the last waiters that it took over from.
CREATE TABLE participants (
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    role        TEXT NOT NULL,
    waiter_id   TEXT NOT NULL,
    superseded  TEXT NOT NULL,
    agent_id    TEXT,
    machine_id  TEXT,
    waiting     BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    socket      TEXT,
    replica     TEXT,
    PRIMARY KEY (chatroom_id, role)
);
CREATE INDEX participants_by_replica ON participants (replica);
CREATE INDEX participants_by_agent ON participants (agent_id);

CREATE TABLE idempotency (
    caller     TEXT NOT NULL,
    function   TEXT NOT NULL,
    key        TEXT NOT NULL,
    args_hash  TEXT NOT NULL,
    result     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (caller, function, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE audit (
    id      TEXT PRIMARY KEY NOT NULL,
    at      BIGINT NOT NULL,
    user_id TEXT,
    actor   TEXT NOT NULL,
    address TEXT,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX audit_by_age ON audit (at);

-- Server processes that are alive; a machine held by one that is not is unknown.
CREATE TABLE replicas (
    id       TEXT PRIMARY KEY NOT NULL,
    heard_at BIGINT NOT NULL
);
