// The life of a command: queued, delivered, done, or failed with its reason.

import type { ReactNode } from "react";
import { api, type Command, type Machine } from "../data/api";
import { call, useAct, useLive } from "../data/live";
import { exact, sentence } from "../text";
import { commandWord, type State } from "../words";
import { Age, Button, Mark, useNow } from "./basic";

export function commandState(command: Command): State {
  switch (command.status) {
    case "pending":
      return { word: "queued", tone: "passing", since: command.createdAt, evidence: "Its machine has not taken it yet." };
    case "processing":
      return { word: "delivered", tone: "busy", since: command.claimedAt, evidence: "Its machine has taken it and works on it." };
    case "completed":
      return { word: "done", tone: "good", since: command.finishedAt, evidence: "It took effect." };
    case "failed":
      return { word: "failed", tone: "bad", since: command.finishedAt, evidence: exact(command.failure.message) };
  }
}

/** The newest command about a role, by whomever it was sent. */
export function useRoleCommand(machineId: string | undefined, chatroomId: string, role: string): Command | undefined {
  const commands = useLive(api.machines.listCommands, machineId ? { machineId, limit: 30 } : "skip");
  return commands.value?.find(
    (command) =>
      (command.type === "start-agent" || command.type === "stop-agent" || command.type === "restart-agent") &&
      command.payload.chatroomId === chatroomId &&
      command.payload.role.toLowerCase() === role,
  );
}

const DONE_SHOWN_MS = 6000;
/** A connected machine takes a command sooner than this. */
const QUICK_MS = 2000;

/** How a state is known, with the life of the newest command at its side, where it moves nothing; what needs more room gets its own line. */
export function Known(props: { summary: string; command: Command | undefined; machine: Machine | undefined; isTold?: boolean; children: ReactNode }) {
  const { command, machine } = props;
  const now = useNow();
  const isShown = command !== undefined && !(command.status === "completed" && now - command.finishedAt > DONE_SHOWN_MS) && !(command.status === "failed" && props.isTold);
  const isLong =
    command !== undefined && (command.status === "failed" || (command.status === "pending" && (machine?.connection !== "connected" || now - command.createdAt > QUICK_MS)));
  return (
    <>
      <div className="known">
        <details className="evidence">
          <summary>{props.summary}</summary>
          {props.children}
        </details>
        {isShown && !isLong && <CommandLife command={command} machine={machine} />}
      </div>
      {isShown && isLong && <CommandLife command={command} machine={machine} />}
    </>
  );
}

function CommandLife({ command, machine }: { command: Command; machine: Machine | undefined }) {
  const now = useNow();
  const cancel = useAct();
  const state = commandState(command);
  const isQuick = machine?.connection === "connected" && now - command.createdAt <= QUICK_MS;
  return (
    <p className={`command-life tone-${state.tone}`} role="status">
      <Mark tone={state.tone} /> {commandWord(command.type)}: {state.word}
      {command.status === "pending" && !isQuick && (
        <>
          {" "}
          <Age at={command.createdAt} />
          {machine !== undefined && machine.connection !== "connected" && `, ${exact(machine.name)} is ${machine.connection}`}
          {command.expiresAt > now && <span className="note"> · given up at {new Date(command.expiresAt).toLocaleTimeString()}</span>}{" "}
          <Button look="quiet" act={cancel} onClick={() => void cancel.run(() => call(api.machines.cancelCommand, { commandId: command.commandId }))}>
            Cancel
          </Button>
        </>
      )}
      {command.status === "failed" && (
        <>
          {": "}
          {exact(command.failure.message)}.{command.failure.hint && <span className="hint"> {exact(sentence(command.failure.hint))}</span>}
        </>
      )}
    </p>
  );
}
