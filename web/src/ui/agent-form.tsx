// Where and how a role's agent runs: machine, tool, directory, model, permission mode.

import { useEffect, useMemo, useRef, useState } from "react";
import { type Agent, api, type Command, type Machine, type PermissionMode } from "../data/api";
import { client } from "../data/client";
import { call, type Live, newKey, useAct, useLive } from "../data/live";
import { isUsable, useWorld } from "../data/world";
import { exact, homeOf, sentence, shortPath } from "../text";
import { MODES } from "../words";
import { Button, Field, Mark, Problem, Repair } from "./basic";
import { Dialog } from "./overlay";

export type AgentChoice = { machineId: string; tool: string; workingDir: string; model: string; permissionMode: PermissionMode; startOnTask: boolean };

const usePastAgents = (machine: Machine | undefined): Live<Agent[]> => useLive(api.agents.list, machine ? { machineId: machine.machineId, includeEnded: true } : "skip");

/** The directories where agents of a machine worked, in whatever room, the last one first. */
const usedDirectories = (agents: Agent[] | undefined): string[] => [...new Set((agents ?? []).filter((agent) => agent.state !== "failed").map((agent) => agent.workingDir))].slice(0, 20);

/** What a role's agent is set up with, as far as it was chosen before. */
export function useAgentChoice(start: Partial<AgentChoice>): [AgentChoice, (change: Partial<AgentChoice>) => void, Machine | undefined] {
  const { machines } = useWorld();
  const [chosen, setChosen] = useState<Partial<AgentChoice>>(start);
  const machine = machines?.find((one) => one.machineId === chosen.machineId) ?? machines?.find((one) => one.connection === "connected") ?? machines?.[0];
  const past = usePastAgents(machine);
  const usable = machine?.availableTools.filter(isUsable) ?? [];
  const name = chosen.tool ?? usable.find((one) => one.name !== "echo")?.name ?? usable[0]?.name ?? "";
  const tool = machine?.availableTools.find((one) => one.name === name);
  const mode = chosen.permissionMode ?? "ask";
  const choice: AgentChoice = {
    machineId: machine?.machineId ?? "",
    tool: name,
    workingDir: chosen.workingDir ?? usedDirectories(past.value)[0] ?? (machine ? (homeOf(machine.cliPath) ?? "") : ""),
    model: chosen.model ?? "",
    permissionMode: mode === "ask" && tool?.asks === false ? "accept-edits" : mode,
    startOnTask: chosen.startOnTask ?? false,
  };
  return [choice, (change) => setChosen((before) => ({ ...before, ...change })), machine];
}

/** Sends a command that only asks, and follows it to its end. */
function useQuestion(machine: Machine | undefined): { ask: (type: string, payload: Record<string, unknown>) => void; command: Command | undefined; error: string | undefined; clear: () => void } {
  const [commandId, setCommandId] = useState<string | null>(null);
  const act = useAct();
  const command = useLive(api.machines.getCommand, commandId === null ? "skip" : { commandId });
  const ask = (type: string, payload: Record<string, unknown>): void => {
    if (machine === undefined) return;
    setCommandId(null);
    void act.run(async () => {
      const sent = await call(api.machines.sendCommand, { machineId: machine.machineId, type, payload, idempotencyKey: newKey() } as never);
      setCommandId((sent as Command).commandId);
    });
  };
  return { ask, command: command.value, error: act.error?.message, clear: () => setCommandId(null) };
}

export function AgentFields(props: { choice: AgentChoice; change: (change: Partial<AgentChoice>) => void; machine: Machine | undefined; recent?: string[]; isFirst?: boolean }) {
  const { choice, change, machine } = props;
  const { machines } = useWorld();
  const tool = machine?.availableTools.find((one) => one.name === choice.tool);
  const directory = useQuestion(machine);
  const recent = [...new Set([...(props.recent ?? []), ...usedDirectories(usePastAgents(machine).value)])];
  const models = useQuestion(machine);
  const isConnected = machine?.connection === "connected";
  const asked = useRef("");
  const [isTyped, setTyped] = useState(false);

  // The tool's models come when a tool is chosen that has some.
  const wanted = isConnected && tool?.status === "ok" && choice.tool !== "echo" ? `${choice.machineId} ${choice.tool}` : "";
  useEffect(() => {
    if (wanted === "" || asked.current === wanted) return;
    asked.current = wanted;
    models.ask("list-models", { tool: choice.tool });
  }, [wanted]);
  const listed = useMemo(() => {
    const command = models.command as { status?: string; result?: { kind: string; models?: { id: string; name: string }[]; default?: string } } | undefined;
    return command?.status === "completed" && command.result?.kind === "models" ? (command.result.models ?? []) : [];
  }, [models.command]);

  // The machine looks as soon as one stops typing.
  const path = choice.workingDir.trim();
  const lookAt = isConnected && isTyped && path.startsWith("/") ? path : "";
  useEffect(() => {
    if (lookAt === "") return;
    const timer = setTimeout(() => directory.ask("check-dir", { path: lookAt }), 600);
    return () => clearTimeout(timer);
  }, [lookAt]);
  return (
    <>
      <div className="two">
      <Field label="Machine">
        <select
          value={choice.machineId}
          onChange={(event) => change({ machineId: event.target.value, tool: undefined as never, workingDir: undefined as never })}
        >
          {(machines ?? []).map((one) => (
            <option key={one.machineId} value={one.machineId}>
              {exact(one.name)} ({one.connection})
            </option>
          ))}
        </select>
      </Field>
      <Field label="Tool">
        <select value={choice.tool} onChange={(event) => change({ tool: event.target.value, model: "" })}>
          {(machine?.availableTools ?? [])
            .filter((one) => one.status !== "missing" || one.name === choice.tool)
            .map((one) => (
              <option key={one.name} value={one.name}>
                {one.name}
                {one.name === "echo" ? " (built in; answers with what you say)" : "version" in one ? ` ${exact(one.version)}` : ""}
                {one.status === "ok" ? "" : ` · ${one.status.replaceAll("_", " ")}`}
              </option>
            ))}
        </select>
      </Field>
      </div>
      {tool?.status === "ok" && tool.driver === undefined && (
        <p className="warn">
          <Mark tone="ask" /> {exact(tool.name)} was found on {exact(machine?.name ?? "")}, but chatroom there has no way to start it.
        </p>
      )}
      {tool && tool.status !== "ok" && (
        <p className="warn">
          <Mark tone="ask" /> {tool.name} is {tool.status.replaceAll("_", " ")} on {exact(machine?.name ?? "")}. <Repair text={tool.repair} />
        </p>
      )}
      <Field label="Directory" note={<DirectoryNote command={directory.command} error={directory.error} path={choice.workingDir} />}>
        <input
          value={choice.workingDir}
          list="recent-directories"
          placeholder="/home/you/project"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          required
          onChange={(event) => {
            directory.clear();
            setTyped(true);
            change({ workingDir: event.target.value });
          }}
          onBlur={() => {
            // A home directory is known where the program lies in it.
            const home = machine && homeOf(machine.cliPath);
            if (home !== undefined && /^~(\/|$)/.test(choice.workingDir)) change({ workingDir: home + choice.workingDir.slice(1) });
          }}
        />
      </Field>
      <datalist id="recent-directories">
        {recent.map((path) => (
          <option key={path} value={path} />
        ))}
      </datalist>
      {choice.tool !== "echo" && (
        <Field label="Model" note={listed.length > 0 ? `${listed.length} known; empty means the tool's own default` : "empty means the tool's own default"}>
          <input
            value={choice.model}
            list="known-models"
            placeholder="default"
            spellCheck={false}
            autoCapitalize="off"
            autoComplete="off"
            onChange={(event) => change({ model: event.target.value })}
          />
        </Field>
      )}
      <datalist id="known-models">
        {listed.slice(0, 300).map((model) => (
          <option key={model.id} value={model.id}>
            {exact(model.name)}
          </option>
        ))}
      </datalist>
      <fieldset className="modes">
        <legend className="label">What it may do</legend>
        {(Object.keys(MODES) as PermissionMode[]).map((mode) => (
          <label key={mode} className={choice.permissionMode === mode ? "mode chosen" : "mode"}>
            <input
              type="radio"
              name="mode"
              value={mode}
              checked={choice.permissionMode === mode}
              disabled={mode === "ask" && tool?.asks === false}
              onChange={() => change({ permissionMode: mode })}
            />
            <span>
              <b>{MODES[mode].name}</b>
              <span className="note">{mode === "ask" && tool?.asks === false ? `${exact(tool.name)} cannot ask.` : MODES[mode].what}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {!props.isFirst && (
        <label className="check">
          <input type="checkbox" checked={choice.startOnTask} onChange={(event) => change({ startOnTask: event.target.checked })} /> Start it by itself when a task comes for its role
        </label>
      )}
    </>
  );
}

function DirectoryNote({ command, error, path }: { command: Command | undefined; error: string | undefined; path: string }) {
  if (path !== "" && !path.startsWith("/")) return <>A path from the root, beginning with /.</>;
  if (error !== undefined) return <>{exact(error)}</>;
  const answer = command as { status: string; result?: { kind: string; path?: string }; failure?: { message: string; hint?: string } } | undefined;
  if (answer === undefined) return <>Where the agent works, on that machine.</>;
  if (answer.status === "pending" || answer.status === "processing") return <span role="status">looking on the machine…</span>;
  if (answer.status === "failed") {
    return (
      <span role="status" className="bad">
        <Mark tone="bad" /> {exact(sentence(answer.failure?.message ?? "it cannot be used"))} {exact(sentence(answer.failure?.hint ?? ""))}
      </span>
    );
  }
  const real = answer.result?.path;
  return (
    <span role="status">
      <Mark tone="good" /> looked at: an agent can work there{real !== undefined && real !== path ? ` (${shortPath(real)})` : ""}
    </span>
  );
}

const ANSWER_MS = 5000;

/** Keeps one from going on with a directory that the machine says is not there; who goes on again with the same one may. */
export function useDirectoryCheck(): (machine: Machine | undefined, path: string) => Promise<void> {
  const warned = useRef("");
  return async (machine, path) => {
    const key = `${machine?.machineId ?? ""} ${path}`;
    if (machine?.connection !== "connected" || warned.current === key) return;
    const { commandId } = await call(api.machines.sendCommand, { machineId: machine.machineId, type: "check-dir", payload: { path }, idempotencyKey: newKey() });
    const command = await ended(commandId);
    if (command?.status !== "failed") return;
    warned.current = key;
    throw Object.assign(new Error(command.failure.message), {
      data: { message: command.failure.message, hint: "nothing was started; press again to go on with this directory all the same" },
    });
  };
}

/** A command at its end; none when it does not come to it soon. */
function ended(commandId: string): Promise<Command | undefined> {
  return new Promise((resolve) => {
    const watch = client.watchQuery(api.machines.getCommand, { commandId });
    const finish = (command: Command | undefined): void => {
      clearTimeout(timer);
      queueMicrotask(() => stop());
      resolve(command);
    };
    const timer = setTimeout(() => finish(undefined), ANSWER_MS);
    const look = (): void => {
      const command = watch.localQueryResult();
      if (command?.status === "completed" || command?.status === "failed") finish(command);
    };
    const stop = watch.onUpdate(look);
    look();
  });
}

/** Stores the choice, and starts the agent if wanted. */
export async function setUp(chatroomId: string, role: string, choice: AgentChoice): Promise<void> {
  await call(api.machines.updateAgentConfig, {
    machineId: choice.machineId,
    chatroomId,
    role,
    tool: choice.tool,
    workingDir: choice.workingDir.trim(),
    model: choice.tool === "echo" ? "" : choice.model.trim(),
    permissionMode: choice.permissionMode,
    startOnTask: choice.startOnTask,
  });
}

export async function startAgent(machineId: string, chatroomId: string, role: string, move = false): Promise<void> {
  const payload = move ? { chatroomId, role, move } : { chatroomId, role };
  await call(api.machines.sendCommand, { machineId, type: "start-agent", payload, idempotencyKey: newKey() });
}

export function AgentDialog(props: { chatroomId: string; role: string; isOpen: boolean; onClose: () => void; start: Partial<AgentChoice>; recent: string[]; others: string[] }) {
  return (
    <Dialog title={`Agent of ${props.role}`} isOpen={props.isOpen} onClose={props.onClose}>
      <AgentDialogBody {...props} />
    </Dialog>
  );
}

function AgentDialogBody({ chatroomId, role, onClose, start, recent, others }: Parameters<typeof AgentDialog>[0]) {
  const [choice, change, machine] = useAgentChoice(start);
  const checkDirectory = useDirectoryCheck();
  const [wantsMove, setWantsMove] = useState(false);
  const [isForAll, setForAll] = useState(false);
  const act = useAct();
  const isReady = choice.machineId !== "" && choice.tool !== "" && choice.workingDir.startsWith("/");
  const save = (then: boolean): void => {
    void act
      .run(async () => {
        await checkDirectory(machine, choice.workingDir.trim());
        const roles = isForAll ? [role, ...others] : [role];
        for (const one of roles) await setUp(chatroomId, one, choice);
        if (then) for (const one of roles) await startAgent(choice.machineId, chatroomId, one, wantsMove && one === role);
      })
      .then((isDone) => isDone && onClose());
  };
  const isTaken = act.error?.code === "role_taken";
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (isReady) save(true);
      }}
    >
      <AgentFields choice={choice} change={change} machine={machine} recent={recent} />
      {others.length > 0 && (
        <label className="check">
          <input type="checkbox" checked={isForAll} onChange={(event) => setForAll(event.target.checked)} /> Set up {others.map(exact).join(", ")} the same way
        </label>
      )}
      {(isTaken || wantsMove) && (
        <label className="check">
          <input type="checkbox" checked={wantsMove} onChange={(event) => setWantsMove(event.target.checked)} /> Stop the agent that holds this role elsewhere, and move it here
        </label>
      )}
      <Problem error={act.error} />
      <footer>
        <Button act={act} disabled={!isReady} onClick={() => save(false)}>
          Save
        </Button>
        <Button look="main" type="submit" act={act} disabled={!isReady}>
          Save and start
        </Button>
      </footer>
    </form>
  );
}
