-- Times of a hand-over, for receipts; how many progress notes a task has. confirmed_at and started_at are of the newest hand-over.
ALTER TABLE tasks ADD COLUMN confirmed_at BIGINT;
ALTER TABLE tasks ADD COLUMN started_at BIGINT;
ALTER TABLE tasks ADD COLUMN ended_at BIGINT;
ALTER TABLE tasks ADD COLUMN progress_count BIGINT NOT NULL DEFAULT 0;
UPDATE tasks SET confirmed_at = updated_at WHERE confirmed = 1;
UPDATE tasks SET started_at = updated_at WHERE state = 'in_progress';
UPDATE tasks SET ended_at = updated_at WHERE state IN ('completed', 'cancelled');

-- artifacts: names and versions, JSON. seen_at: when the person saw a message to `user`.
ALTER TABLE messages ADD COLUMN artifacts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE messages ADD COLUMN seen_at BIGINT;
CREATE INDEX messages_unseen ON messages (chatroom_id, sequence) WHERE target_role = 'user' AND seen_at IS NULL;

ALTER TABLE agents ADD COLUMN prompt_version TEXT;

-- The one with the greatest position counts: messages up to its after_sequence are left out of what roles read.
CREATE TABLE contexts (
    id             TEXT PRIMARY KEY NOT NULL,
    chatroom_id    TEXT NOT NULL REFERENCES chatrooms (id),
    position       BIGINT NOT NULL,
    after_sequence BIGINT NOT NULL,
    title          TEXT NOT NULL,
    content        TEXT NOT NULL,
    author_role    TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    UNIQUE (chatroom_id, position)
);

CREATE TABLE backlog (
    id          TEXT PRIMARY KEY NOT NULL,
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    state       TEXT NOT NULL,
    content     TEXT NOT NULL,
    author_role TEXT NOT NULL,
    message_id  TEXT,
    task_id     TEXT,
    task_role   TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX backlog_by_state ON backlog (chatroom_id, state, created_at);

CREATE TABLE artifacts (
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    name        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    content     TEXT NOT NULL,
    author_role TEXT NOT NULL,
    author_id   TEXT NOT NULL REFERENCES users (id),
    created_at  BIGINT NOT NULL,
    newest      BIGINT NOT NULL,
    removed_at  BIGINT,
    PRIMARY KEY (chatroom_id, name, version)
);
-- One version of a name is the newest. Of a removed name one row without text stays, so that its numbers are not given again.
CREATE UNIQUE INDEX artifacts_newest ON artifacts (chatroom_id, name) WHERE newest = 1;
