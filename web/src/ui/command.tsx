// The life of a command: queued, delivered, done, or failed with its reason.

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

export function CommandLife({ command, machine }: { command: Command | undefined; machine: Machine | undefined }) {
  const now = useNow();
  const cancel = useAct();
  if (command === undefined) return null;
  if (command.status === "completed" && now - command.finishedAt > DONE_SHOWN_MS) return null;
  const state = commandState(command);
  const isAway = command.status === "pending" && machine !== undefined && machine.connection !== "connected";
  return (
    <p className={`command-life tone-${state.tone}`} role="status">
      <Mark tone={state.tone} /> {commandWord(command.type)}: {state.word}
      {command.status === "pending" && (
        <>
          {" "}
          <Age at={command.createdAt} />
          {isAway && `, ${machine.name} is ${machine.connection}`}
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
