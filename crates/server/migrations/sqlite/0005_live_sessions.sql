-- How an agent's session stands, as its transcript tells. turn_delivery: the number of the hand-over of turn_task_id.
-- transcript_events and transcript_bytes: what is kept of it. trouble: JSON.
ALTER TABLE agents ADD COLUMN turn_state TEXT;
ALTER TABLE agents ADD COLUMN turn_since BIGINT;
ALTER TABLE agents ADD COLUMN turn_task_id TEXT;
ALTER TABLE agents ADD COLUMN turn_delivery BIGINT;
ALTER TABLE agents ADD COLUMN trouble TEXT;
ALTER TABLE agents ADD COLUMN session_id TEXT;
ALTER TABLE agents ADD COLUMN session_heard_at BIGINT;
ALTER TABLE agents ADD COLUMN last_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN transcript_events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN transcript_bytes BIGINT NOT NULL DEFAULT 0;
CREATE INDEX agents_with_transcript ON agents (state_since) WHERE transcript_events > 0;

-- body: the entry, JSON; it stands last, so that sizes are read without it.
CREATE TABLE transcript_events (
    agent_id TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    kind     TEXT NOT NULL,
    bytes    BIGINT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (agent_id, seq)
);

-- What owners sent into sessions. body: the input, JSON. state: queued, delivered, refused.
CREATE TABLE agent_inputs (
    id         TEXT PRIMARY KEY NOT NULL,
    agent_id   TEXT NOT NULL,
    machine_id TEXT NOT NULL,
    state      TEXT NOT NULL,
    ended_at   BIGINT,
    reason     TEXT,
    created_at BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    body       TEXT NOT NULL
);
CREATE INDEX agent_inputs_queued ON agent_inputs (machine_id, id) WHERE state = 'queued';
CREATE INDEX agent_inputs_waiting ON agent_inputs (agent_id) WHERE state = 'queued';
CREATE INDEX agent_inputs_by_agent ON agent_inputs (agent_id, id);
CREATE INDEX agent_inputs_ended ON agent_inputs (ended_at) WHERE state <> 'queued';

-- What agents asked for. state: pending, answered, withdrawn. settled_at: since when the agent itself does not wait any more.
-- request: what is asked, JSON.
CREATE TABLE permissions (
    id          TEXT PRIMARY KEY NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id),
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    role        TEXT NOT NULL,
    machine_id  TEXT NOT NULL REFERENCES machines (id),
    agent_id    TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    state       TEXT NOT NULL,
    choice      TEXT,
    decided_by  TEXT,
    ended_at    BIGINT,
    settled_at  BIGINT,
    asked_at    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    request     TEXT NOT NULL,
    UNIQUE (agent_id, request_id)
);
CREATE INDEX permissions_pending ON permissions (expires_at) WHERE state = 'pending';
CREATE INDEX permissions_pending_of_agent ON permissions (agent_id) WHERE state = 'pending';
CREATE INDEX permissions_unsettled ON permissions (agent_id) WHERE settled_at IS NULL;
CREATE INDEX permissions_waiting ON permissions (user_id, id) WHERE state = 'pending';
CREATE INDEX permissions_ended ON permissions (user_id, id) WHERE state <> 'pending';
CREATE INDEX permissions_by_age ON permissions (settled_at) WHERE settled_at IS NOT NULL;

-- Rules that answer by themselves. matches: JSON. ends_at: until when.
CREATE TABLE permission_rules (
    id          TEXT PRIMARY KEY NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id),
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    role        TEXT,
    allow       BIGINT NOT NULL,
    matches     TEXT NOT NULL,
    ends_at     BIGINT,
    created_at  BIGINT NOT NULL
);
CREATE INDEX permission_rules_by_chatroom ON permission_rules (chatroom_id, id);
CREATE INDEX permission_rules_by_end ON permission_rules (ends_at) WHERE ends_at IS NOT NULL;

-- The models that a tool on a machine told of, JSON.
CREATE TABLE tool_models (
    machine_id TEXT NOT NULL REFERENCES machines (id),
    tool       TEXT NOT NULL,
    models     TEXT NOT NULL,
    told_at    BIGINT NOT NULL,
    PRIMARY KEY (machine_id, tool)
);
