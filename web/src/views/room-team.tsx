// One card for each role: where its agent runs, how it stands, why it does not work, and what can be done.

import { useState } from "react";
import { type Agent, api, type Blocked, type Chatroom, type MachineAgentConfig, type Participant, type RoleStatus } from "../data/api";
import { call, newKey, useAct, useLive } from "../data/live";
import { useMachine, useWorld } from "../data/world";
import { Link, to } from "../route";
import { exact, plural, sentence, shortPath } from "../text";
import { AgentDialog, startAgent } from "../ui/agent-form";
import { Age, Button, Loading, Mark, Name, Problem, Repair, StateLabel, useNow } from "../ui/basic";
import { Known, useRoleCommand } from "../ui/command";
import { Confirm, Menu } from "../ui/overlay";
import { canStop, isActive, lastEnd, machineOf, MODES, nextStart, roleState, troubleOf, waitsToStart } from "../words";

/** What the card says by its state and mends by its buttons needs no word more. */
const PLAIN = new Set<Blocked["by"]>(["passing", "permission", "not_configured", "not_started"]);

/** What mends it, when that is more than a button of the page does. */
export function repairOf(blocked: { repair?: string | undefined } | undefined): string | undefined {
  return blocked?.repair?.startsWith("chatroom agent ") ? undefined : blocked?.repair;
}

/** What keeps a role from working, and what mends it. */
export function Why({ status }: { status: RoleStatus | undefined }) {
  const act = useAct();
  const blocked = status?.blocked;
  if (status === undefined || blocked === undefined || PLAIN.has(blocked.by)) return null;
  if (blocked.by === "restarting") return <NextStart status={status} />;
  const { agent } = status;
  const canTryAgain = troubleOf(agent) !== undefined;
  // What is wrong with its credential stands in no session: there is nothing to try there.
  const repair = repairOf(blocked);
  return (
    <div className="why">
      {exact(sentence(blocked.message))} <Age at={blocked.since} />
      {repair !== undefined && <Repair text={repair} />}
      {blocked.by === "trouble" && canTryAgain && agent && (
        <p className="answers">
          <Button act={act} title="Says “Try again.” into its session" onClick={() => void act.run(() => tryAgain(agent))}>
            Try again
          </Button>
        </p>
      )}
      <Problem error={act.error} />
    </div>
  );
}

/** What its tool could not do is asked of it once more, in the same session. */
export function tryAgain(agent: Agent): Promise<unknown> {
  return call(api.agents.send, { agentId: agent.agentId, text: "Try again.", idempotencyKey: newKey() });
}

/** How the last one ended, and when the next one is started. */
function NextStart({ status }: { status: RoleStatus }) {
  const now = useNow();
  const end = lastEnd(status);
  return (
    <p className="why">
      {end && sentence(end.how)} {nextStart(status, now)}
    </p>
  );
}

export function Team({ room }: { room: Chatroom }) {
  const { roles } = useWorld();
  const statuses = roles.get(room.chatroomId);
  const own = useLive(api.agents.listRoles, statuses === undefined ? { chatroomId: room.chatroomId } : "skip");
  const configs = useLive(api.machines.getAgentConfigs, { chatroomId: room.chatroomId });
  const waiters = useLive(api.participants.list, { chatroomId: room.chatroomId });
  const live = statuses ?? own;
  const [isStopping, setStopping] = useState(false);
  const act = useAct();
  const running = (live.value ?? []).filter(canStop);
  const idle = (live.value ?? []).filter((status) => !isActive(status.agent) && configOf(status, configs.value) !== undefined);
  const bare = configs.value === undefined ? [] : (live.value ?? []).filter((status) => !isActive(status.agent) && configOf(status, configs.value) === undefined).map((status) => status.role);
  const recent = [...new Set((configs.value ?? []).map((config) => config.workingDir))];
  return (
    <section className="side-block" aria-label="Team">
      <header>
        <h2>Team</h2>
        <Menu
          label="All agents of this room"
          items={[
            {
              label: `Start ${idle.length > 1 ? `all ${idle.length}` : "the agent"} that ${idle.length > 1 ? "do" : "does"} not run`,
              disabled: idle.length === 0,
              onSelect: () =>
                void act.run(async () => {
                  for (const status of idle) {
                    const config = configOf(status, configs.value);
                    if (config) await startAgent(config.machineId, room.chatroomId, status.role);
                  }
                }),
            },
            { label: "Stop all…", isLocal: true, isDanger: true, disabled: running.length === 0, onSelect: () => setStopping(true) },
          ]}
        />
      </header>
      <Problem error={act.error ?? live.error ?? configs.error} />
      {live.value === undefined && !live.error && <Loading what="Reading the team…" />}
      {(live.value ?? []).map((status) => (
        <RoleCard key={status.role} room={room} status={status} config={configOf(status, configs.value)} waiter={waiters.value?.find((one) => one.role === status.role)} recent={recent} bare={bare} />
      ))}
      <Confirm
        title="Stop all agents of this room?"
        isOpen={isStopping}
        onClose={() => setStopping(false)}
        verb={`Stop ${plural(running.length, "agent")}`}
        act={act}
        onConfirm={async () => {
          for (const status of running) {
            const machineId = machineOf(status);
            if (machineId === undefined) continue;
            const payload = { chatroomId: room.chatroomId, role: status.role };
            await call(api.machines.sendCommand, { machineId, type: "stop-agent", payload, idempotencyKey: newKey() });
          }
        }}
      >
        <p>{running.map((status) => exact(status.role)).join(", ")} will be stopped{running.some(waitsToStart) && ", and not started again"}. What they are at stays in the queue and goes to the next agent of the role.</p>
      </Confirm>
    </section>
  );
}

/** What "start" would use: on the machine where it is wanted, else what was set last. */
export function configOf(status: RoleStatus, configs: MachineAgentConfig[] | undefined): MachineAgentConfig | undefined {
  const own = (configs ?? []).filter((config) => config.role === status.role).sort((a, b) => b.updatedAt - a.updatedAt);
  const machineId = canStop(status) ? machineOf(status) : undefined;
  return own.find((config) => config.machineId === machineId) ?? own[0];
}

function RoleCard(props: { room: Chatroom; status: RoleStatus; config: MachineAgentConfig | undefined; waiter: Participant | undefined; recent: string[]; bare: string[] }) {
  const { room, status, config } = props;
  const now = useNow();
  const agent = status.agent;
  const runs = isActive(agent);
  const shown = runs ? agent : config;
  const machine = useMachine(shown?.machineId);
  const command = useRoleCommand(shown?.machineId, room.chatroomId, status.role);
  const [isEditing, setEditing] = useState(false);
  const act = useAct();
  const state = roleState(status, machine, now, props.waiter);
  const isByHand = !runs && props.waiter?.waiting === true;
  const isUnderWay = command !== undefined && (command.status === "pending" || command.status === "processing");
  const waits = waitsToStart(status);
  const send = (type: "stop-agent" | "restart-agent"): void => {
    const machineId = machineOf(status) ?? config?.machineId;
    if (machineId === undefined) return;
    void act.run(() => call(api.machines.sendCommand, { machineId, type, payload: { chatroomId: room.chatroomId, role: status.role }, idempotencyKey: newKey() }));
  };
  const start = (): void => {
    if (config === undefined) setEditing(true);
    else void act.run(() => startAgent(config.machineId, room.chatroomId, status.role));
  };
  const failure = !runs && command?.status === "failed" ? command : undefined;
  // What was chosen since then is another choice.
  const isPast = failure !== undefined && config !== undefined && config.updatedAt > failure.finishedAt;
  const isTold = failure !== undefined && (isPast || (status.blocked?.message.includes(failure.failure.message) ?? false));
  const isElsewhere = !isPast && (failure?.failure.code === "working_dir_missing" || failure?.failure.code === "working_dir_denied");
  const report = machine?.availableTools.find((tool) => tool.name === shown?.tool);
  const open = agent?.session?.openPermissions ?? 0;
  const mode = shown?.permissionMode;
  return (
    <article className={`card role-card tone-${state.tone}`} aria-label={`Role ${status.role}`}>
      <header>
        <h3 className="clip">
          <Name>{status.role}</Name>
        </h3>
        <StateLabel state={state} />
      </header>
      {shown ? (
        <p className="facts">
          <span>
            {exact(shown.tool)} · {machine ? <Name>{machine.name}</Name> : "a machine that was removed"}
            {machine && machine.connection !== "connected" && ` (${machine.connection})`}
          </span>
          <span className="clip" title={exact(shown.workingDir)}>
            {shortPath(shown.workingDir)}
          </span>
          <span>
            {shown.model ? exact(shown.model) : "default model"}
            {mode && ` · ${MODES[mode].name.toLowerCase()}`}
            {config?.startOnTask && " · starts on a task"}
          </span>
        </p>
      ) : (
        <p className="note">No machine, tool and directory chosen yet.</p>
      )}
      {open > 0 && state.word !== "waits for you" && (
        <p className="tone-ask">
          <Mark tone="ask" /> waits for you: {plural(open, "question")}
        </p>
      )}
      {isByHand ? <p className="note">In a terminal of its own; it is stopped there.</p> : <Why status={status} />}
      {runs && report?.status === "not_signed_in" && status.blocked === undefined && (
        <p className="why">
          {exact(report.name)} was not signed in when its machine last looked.
          <Repair text={report.repair} />
        </p>
      )}
      <Known summary="How this is known" command={command} machine={machine} isTold={isTold}>
        <p>{state.evidence}</p>
        {status.desired && (
          <p>
            Wanted: {status.desired.running ? "running" : "stopped"}, by {({ owner: "you", machine: "the stop of its machine’s daemon", task: "a task that came", server: "the server" })[status.desired.by]}{" "}
            <Age at={status.desired.since} suffix=" ago" />.
          </p>
        )}
        {agent && (
          <p>
            Agent <code className="id">{agent.agentId}</code>
          </p>
        )}
      </Known>
      <Problem error={act.error} />
      <footer>
        {isElsewhere && (
          <Button look="main" local onClick={() => setEditing(true)}>
            Change the directory
          </Button>
        )}
        {!runs && !isElsewhere && (
          <Button look="main" act={act} disabled={isUnderWay} onClick={start}>
            {config === undefined ? "Set up" : "Start"}
          </Button>
        )}
        {(runs || waits) && (
          <Button act={act} disabled={isUnderWay || agent?.state === "stopping"} title={waits ? "It is not started again by itself" : undefined} onClick={() => send("stop-agent")}>
            Stop
          </Button>
        )}
        {runs && agent && (
          <Link className="button" href={to("agents", agent.agentId)}>
            Talk
          </Link>
        )}
        {!runs && agent && !isElsewhere && (
          <Link className="button" href={to("agents", agent.agentId)}>
            Transcript
          </Link>
        )}
        <Menu
          label={`More about ${status.role}`}
          items={[
            ...(isElsewhere ? [{ label: "Start", disabled: isUnderWay, onSelect: start }] : []),
            { label: "Restart", disabled: !runs || isUnderWay, onSelect: () => send("restart-agent") },
            { label: "Machine, tool, directory…", isLocal: true, onSelect: () => setEditing(true) },
          ]}
        />
      </footer>
      <AgentDialog
        chatroomId={room.chatroomId}
        role={status.role}
        isOpen={isEditing}
        onClose={() => setEditing(false)}
        start={
          config
            ? { machineId: config.machineId, tool: config.tool, workingDir: config.workingDir, model: config.model ?? "", permissionMode: config.permissionMode, startOnTask: config.startOnTask }
            : props.recent[0]
              ? { workingDir: props.recent[0] }
              : {}
        }
        recent={props.recent}
        others={config === undefined ? props.bare.filter((role) => role !== status.role) : []}
      />
    </article>
  );
}
