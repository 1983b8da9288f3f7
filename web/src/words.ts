// The words for states, everywhere the same: each with a tone, a shape (never colour alone), since when, and the evidence.

import type { Agent, AgentExit, Choice, Command, ConnectionState, Decider, ListedTeam, Machine, Participant, RoleStatus, ToolKind, Trouble } from "./data/api";
import { ago, exact } from "./text";

export type Tone = "good" | "busy" | "ask" | "bad" | "off" | "passing";
export type State = {
  word: string;
  tone: Tone;
  since?: number | undefined;
  /** By what it is known. */
  evidence: string;
};

const CONNECTIONS: Record<ConnectionState, { tone: Tone; evidence: string }> = {
  connected: { tone: "good", evidence: "Its daemon holds an open connection to the server." },
  silent: { tone: "passing", evidence: "Its connection is open, but nothing came over it for half a minute." },
  disconnected: { tone: "off", evidence: "Its daemon has no connection to the server." },
  unknown: { tone: "passing", evidence: "The server was started anew and has not heard from it yet." },
};

export function connectionState(connection: ConnectionState, since: number): State {
  return { word: connection, since, ...CONNECTIONS[connection] };
}

export function exitWords(exit: AgentExit): string {
  switch (exit.how) {
    case "code":
      return exit.code === 0 ? "it ended by itself (exit code 0)" : `it ended by itself with exit code ${exit.code}`;
    case "signal":
      return `it was ended by signal ${exit.signal} from outside`;
    case "stopped":
      return "it was stopped, as wanted";
    case "shut_down":
      return "its machine was shut down";
    case "unusable":
      return `its tool cannot work: ${exact(exit.trouble.message)}`;
    case "lost":
      return "it is gone and nobody saw how";
  }
}

const isCalmEnd = (exit: AgentExit): boolean =>
  exit.how === "stopped" || exit.how === "shut_down" || (exit.how === "code" && exit.code === 0);

/** What its tool says that it cannot do, until a newer turn works. */
export function troubleOf(agent: Agent | undefined): Trouble | undefined {
  if (agent?.state !== "running") return undefined;
  const { trouble, turn } = agent.session;
  const isOver = trouble !== undefined && turn !== undefined && (turn.state === "working" || turn.state === "waiting_for_permission") && turn.since > trouble.at;
  return isOver ? undefined : trouble;
}

/** One agent by itself. */
export function agentState(agent: Agent, now: number): State {
  const said = agent.heardAt === undefined ? "" : `, said its daemon ${ago(now - agent.heardAt)} ago`;
  switch (agent.state) {
    case "starting":
      return { word: "starting", tone: "passing", since: agent.since, evidence: "Its start was sent to the machine." };
    case "stopping":
      return { word: "stopping", tone: "passing", since: agent.since, evidence: "Its stop was sent to the machine." };
    case "failed":
      return { word: "failed", tone: "bad", since: agent.at, evidence: `It never ran: ${exact(agent.reason)}` };
    case "exited":
      return {
        word: isCalmEnd(agent.exit) ? "stopped" : agent.exit.how === "unusable" ? "failed" : "crashed",
        tone: isCalmEnd(agent.exit) ? "off" : "bad",
        since: agent.at,
        evidence: `Its process has ended: ${exitWords(agent.exit)}.`,
      };
    case "running": {
      const process = `Process ${agent.pid} is alive${said}.`;
      const turn = agent.session.turn;
      const trouble = troubleOf(agent);
      if (trouble) {
        return { word: "waits for you", tone: "ask", since: trouble.at, evidence: `${process} Its tool says: ${exact(trouble.message)}` };
      }
      if (turn === undefined) {
        return { word: "starting", tone: "passing", since: agent.since, evidence: `${process} Its session has not spoken yet.` };
      }
      const word = { starting: "starting", idle: "idle", working: "working", waiting_for_permission: "waits for you", needs_you: "waits for you" }[turn.state];
      const tone = ({ starting: "passing", idle: "good", working: "busy", waiting_for_permission: "ask", needs_you: "ask" } as const)[turn.state];
      const heard = agent.session.heardAt;
      return { word, tone, since: turn.since, evidence: `${process}${heard === undefined ? "" : ` Its session spoke ${ago(now - heard)} ago.`}` };
    }
  }
}

/** A role: its agent, and what is wanted of it. Somebody may wait for its tasks in a terminal of their own. */
export function roleState(status: RoleStatus, machine: Machine | undefined, now: number, waiter?: Participant): State {
  const { agent, desired } = status;
  if (waiter?.waiting && !isActive(agent)) {
    return { word: "idle", tone: "good", since: waiter.since, evidence: "Somebody waits for its tasks in a terminal (chatroom wait-for-task), over an open connection." };
  }
  if (desired !== undefined && waitsToStart(status)) {
    const end = lastEnd(status);
    if (end === undefined) return { word: "starting", tone: "passing", since: desired.since, evidence: "It is started as soon as its machine is connected." };
    const evidence = `${agent === undefined ? "" : agentState(agent, now).evidence} The server starts it again by itself.`;
    return end.isCalm ? { word: "stopped", tone: "off", since: end.at, evidence } : { word: "crashed", tone: "bad", since: end.at, evidence };
  }
  if (agent === undefined) return { word: "stopped", tone: "off", evidence: "No agent was started for this role yet." };
  // However the last one ended: that nothing runs is as it is wanted.
  if (desired?.running === false && !isActive(agent)) {
    return { word: "stopped", tone: "off", since: desired.since, evidence: `No agent is wanted. ${agentState(agent, now).evidence}` };
  }
  return standing(agent, machine, now);
}

/** An agent on its machine: what is not heard of is not known. */
export function standing(agent: Agent, machine: Machine | undefined, now: number): State {
  const state = agentState(agent, now);
  const isOut = agent.state === "running" || agent.state === "stopping";
  if (isOut && machine !== undefined && (machine.connection === "disconnected" || machine.connection === "unknown")) {
    return {
      word: "unknown",
      tone: "passing",
      since: machine.connectionSince,
      evidence: `Its machine is ${machine.connection}. When last heard of, it was: ${state.word}.`,
    };
  }
  return state;
}

export const isActive = (agent: Agent | undefined): boolean =>
  agent !== undefined && (agent.state === "starting" || agent.state === "running" || agent.state === "stopping");

/** Nothing runs, and the server is to start it by itself: after a crash, or when its machine is connected. */
export const waitsToStart = ({ agent, desired }: RoleStatus): boolean => desired?.running === true && desired.restartAt !== undefined && !isActive(agent);

/** Whether there is something to stop: an agent, or its next start. */
export const canStop = (status: RoleStatus): boolean => isActive(status.agent) || waitsToStart(status);

/** The machine of a role's agent, or where its next one is wanted. */
export const machineOf = ({ agent, desired }: RoleStatus): string | undefined => (isActive(agent) ? agent?.machineId : (desired?.machineId ?? agent?.machineId));

/** When the next start comes. */
export function nextStart({ desired }: RoleStatus, now: number): string {
  const left = (desired?.restartAt ?? now) - now;
  return left > 0 ? `Starts again in ${ago(left + 999)}.` : "Starts again as soon as its machine can.";
}

/** How the last agent ended, since the role is wanted. */
export function lastEnd({ agent, desired }: RoleStatus): { at: number; how: string; isCalm: boolean } | undefined {
  if (agent?.state !== "exited" && agent?.state !== "failed") return undefined;
  if (desired !== undefined && agent.at < desired.since) return undefined;
  return agent.state === "failed" ? { at: agent.at, how: `it never ran: ${exact(agent.reason)}`, isCalm: false } : { at: agent.at, how: exitWords(agent.exit), isCalm: isCalmEnd(agent.exit) };
}

const BUILT_IN_TEAMS: Record<string, string> = {
  solo: "builder does what you write, and answers you",
  duo: "planner splits the work, builder does it, planner answers you",
  pair: "builder does the work, reviewer looks at it and asks for more or answers you",
  squad: "planner splits the work, builder does it, reviewer looks at it, planner answers you",
};

/** Who does what in a team. */
export function teamWords(team: Pick<ListedTeam, "name" | "builtIn" | "entryRole" | "roles">): string {
  const known = team.builtIn ? BUILT_IN_TEAMS[team.name] : undefined;
  return known ?? `${team.roles.map((role) => exact(role.name)).join(", ")}; what you write goes to ${exact(team.entryRole)} first`;
}

const COMMANDS: Record<Command["type"] | "list-models" | "check-dir", string> = {
  "start-agent": "start",
  "stop-agent": "stop",
  "restart-agent": "restart",
  ping: "ping",
  status: "status",
  "list-models": "list models",
  "check-dir": "look at a directory",
};

export const commandWord = (type: string): string => (COMMANDS as Record<string, string>)[type] ?? type;

export const CHOICES: Record<Choice, string> = {
  allow_once: "Allow once",
  allow_always: "Allow in this session",
  reject_once: "Refuse",
  reject_always: "Refuse in this session",
};

export const ANSWERED: Record<Choice, string> = {
  allow_once: "Allowed once",
  allow_always: "Allowed in this session",
  reject_once: "Refused",
  reject_always: "Refused in this session",
};

export const DECIDERS: Record<Decider, string> = {
  mode: "by its permission mode",
  rule: "by a rule",
  person: "by you",
  expiry: "because nobody answered in time",
};

export const KINDS: Record<ToolKind, string> = {
  read: "read",
  edit: "edit",
  delete: "delete",
  move: "move",
  search: "search",
  execute: "run",
  think: "think",
  fetch: "fetch",
  other: "use a tool",
};

export const MODES = {
  ask: { name: "Ask", what: "It asks you before it changes anything or runs a command." },
  "accept-edits": { name: "Accept edits", what: "It reads and changes files by itself; it asks before it runs a command." },
  full: { name: "Full", what: "It does everything without asking. For directories that you could lose." },
} as const;
