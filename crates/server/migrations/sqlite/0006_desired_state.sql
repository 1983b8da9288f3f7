-- What is wanted of the agent of a role, beside what is. machine_id: where it is to run. agent_id: its newest agent.
-- exits: times of its last ends that count against it, JSON. restart_at: when it is due to be started by the server.
-- restart_id: the start that the server sent by itself. given_up, repair: why it is not started again, and what mends that.
-- resume: the session to take up again, JSON. revision: the fence of every write.
CREATE TABLE desired_agents (
    chatroom_id TEXT NOT NULL REFERENCES chatrooms (id),
    role        TEXT NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id),
    running     BIGINT NOT NULL,
    wanted_by   TEXT NOT NULL,
    since       BIGINT NOT NULL,
    machine_id  TEXT NOT NULL REFERENCES machines (id),
    agent_id    TEXT,
    exits       TEXT NOT NULL,
    restart_at  BIGINT,
    restart_id  TEXT,
    given_up    TEXT,
    repair      TEXT,
    resume      TEXT,
    revision    BIGINT NOT NULL,
    PRIMARY KEY (chatroom_id, role)
);
CREATE INDEX desired_agents_due ON desired_agents (restart_at) WHERE running = 1 AND restart_at IS NOT NULL;
CREATE INDEX desired_agents_by_machine ON desired_agents (machine_id);

-- What runs already is wanted by its owner.
INSERT INTO desired_agents (chatroom_id, role, user_id, running, wanted_by, since, machine_id, agent_id, exits, revision)
SELECT chatroom_id, role, user_id, 1, 'owner', state_since, machine_id, id, '[]', 1
FROM agents WHERE state IN ('starting', 'running');

ALTER TABLE agent_configs ADD COLUMN start_on_task BIGINT NOT NULL DEFAULT 0;
