// What can run where: each machine with its connection, tools, agents and last commands.

import { useState } from "react";
import { api, type Command, type Machine } from "../data/api";
import { call, newKey, useAct, useLive } from "../data/live";
import { useWorld } from "../data/world";
import { go, Link, to } from "../route";
import { exact, excess, isOnThisMachine, plural, sentence, shortPath } from "../text";
import { Age, Button, Copyable, Empty, Excess, Field, Loading, Mark, Name, Problem, Remedy, StateLabel, useNow } from "../ui/basic";
import { commandState } from "../ui/command";
import { Confirm, Dialog, Menu } from "../ui/overlay";
import { commandWord, connectionState, exitWords, standing } from "../words";

export function AddMachine() {
  const isLocal = isOnThisMachine(location.origin);
  const insecure = location.protocol === "http:" && !isLocal ? " --insecure-http" : "";
  return (
    <ol className="add-machine">
      <li>Put the program there: copy the file <code>chatroom</code> into a directory of its PATH, from a machine of the same system and processor where you have built it.</li>
      <li>
        Sign it in; approve the code that it shows here in this browser:
        <br />
        <Copyable text={`chatroom auth login --server=${location.origin}${insecure}`} />
        {isLocal && <p className="note">This works on this machine. For another one, start the server where it can be reached (--listen, --public-url) and use that address.</p>}
        {insecure !== "" && <p className="note">What goes over plain http can be read on the way: put the server behind TLS.</p>}
      </li>
      <li>
        Start its daemon:
        <br />
        <Copyable text="chatroom machine daemon start" />
      </li>
    </ol>
  );
}

export function Machines({ only }: { only: string | undefined }) {
  const { machines } = useWorld();
  const [isAdding, setAdding] = useState(false);
  const shown = machines?.filter((machine) => only === undefined || machine.machineId === only);
  return (
    <main id="main" className="page">
      <header className="page-head">
        <h1>{only === undefined ? "Machines" : <Link href="/machines">Machines</Link>}</h1>
        <Button local onClick={() => setAdding(!isAdding)} aria-expanded={isAdding}>
          Add a machine
        </Button>
      </header>
      {isAdding && (
        <section className="card" aria-label="Add a machine">
          <p>Three steps on the other machine. Nothing listens on it: it dials out to this server.</p>
          <AddMachine />
          <p className="note">
            You have a code already? <a href="/device">Approve it</a>
          </p>
        </section>
      )}
      {machines === undefined && <Loading what="Reading your machines…" />}
      {machines?.length === 0 && (
        <Empty title="No machines yet">
          <p>Agents run on machines. A machine appears here as soon as its daemon has called.</p>
          {!isAdding && <AddMachine />}
        </Empty>
      )}
      {only !== undefined && shown?.length === 0 && (
        <Empty title="There is no such machine">
          <p>It may have been removed.</p>
        </Empty>
      )}
      {shown?.map((machine) => (
        <MachineCard key={machine.machineId} machine={machine} isAlone={only !== undefined || machines?.length === 1} />
      ))}
    </main>
  );
}

function MachineCard({ machine, isAlone }: { machine: Machine; isAlone: boolean }) {
  const [open, setOpen] = useState<"rename" | "remove" | null>(null);
  const act = useAct();
  const state = connectionState(machine.connection, machine.connectionSince);
  const troubled = machine.availableTools.filter((tool) => tool.status === "broken" || tool.status === "not_signed_in").length;
  const ready = machine.availableTools.filter((tool) => tool.status === "ok" && tool.name !== "echo").length;
  const close = (): void => {
    act.clear();
    setOpen(null);
  };
  return (
    <article className="card machine" aria-label={`Machine ${machine.name}`}>
      <header>
        <h2 className="clip">
          <Link href={to("machines", machine.machineId)}>
            <Name>{machine.name}</Name>
          </Link>
        </h2>
        <StateLabel state={state} />
        <span className="grow" />
        <Menu
          label={`More about ${machine.name}`}
          items={[
            {
              label: "Ping",
              onSelect: () => void act.run(() => call(api.machines.sendCommand, { machineId: machine.machineId, type: "ping", payload: {}, idempotencyKey: newKey() })),
            },
            { label: "Rename…", isLocal: true, onSelect: () => setOpen("rename") },
            { label: "Remove…", isLocal: true, isDanger: true, onSelect: () => setOpen("remove") },
          ]}
        />
      </header>
      <p className="facts inline-facts">
        {machine.name !== machine.hostname && <span>{exact(machine.hostname)}</span>}
        <span>
          {exact(machine.os)} {exact(machine.arch)}
        </span>
        <span>chatroom {exact(machine.cliVersion)}</span>
        <span>
          {ready === 0 ? "no agent tool is ready" : `${plural(ready, "agent tool")} ready`}
          {troubled > 0 && `, ${troubled} with a problem`}
        </span>
        {machine.connection !== "connected" && (
          <span>
            last heard of <Age at={machine.lastSeenAt} suffix=" ago" />
          </span>
        )}
      </p>
      {machine.connection === "disconnected" && (
        <p className="why">
          Its daemon has no connection. If the machine is on, start it there: <Copyable text="chatroom machine daemon start" />
        </p>
      )}
      <Problem error={open === null ? act.error : undefined} />
      <Agents machine={machine} />
      <details open={isAlone || troubled > 0}>
        <summary>
          <h3>Tools</h3>
        </summary>
        <Tools machine={machine} />
      </details>
      <details open={isAlone}>
        <summary>
          <h3>Last commands</h3>
        </summary>
        <Commands machine={machine} />
      </details>
      <Dialog title={`Rename ${exact(machine.name)}`} isOpen={open === "rename"} onClose={close}>
        <Rename machine={machine} onDone={close} />
      </Dialog>
      <Confirm
        title={`Remove ${exact(machine.name)}?`}
        isOpen={open === "remove"}
        onClose={close}
        verb="Remove"
        act={act}
        onConfirm={async () => {
          await call(api.machines.remove, { machineId: machine.machineId });
          go("/machines");
        }}
      >
        <p>
          Its credential is revoked and its connection closed at once. {machine.agents.length > 0 ? `${plural(machine.agents.length, "agent")} on it can no longer be reached from here; their tasks go back to the queue.` : "No agent runs on it."} Commands that wait for it fail. Nothing is deleted on the machine itself.
        </p>
      </Confirm>
    </article>
  );
}

/** So many characters the name of a machine may have. */
const LONGEST_NAME = 100;

function Rename({ machine, onDone }: { machine: Machine; onDone: () => void }) {
  const [name, setName] = useState(machine.name);
  const act = useAct();
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void act.run(() => call(api.machines.rename, { machineId: machine.machineId, name: name.trim() })).then((isDone) => isDone && onDone());
      }}
    >
      <Field label="Name" note={<Excess text={name} most={LONGEST_NAME} />}>
        <input value={name} required autoFocus onChange={(event) => setName(event.target.value)} />
      </Field>
      <Problem error={act.error} />
      <footer>
        <Button look="main" type="submit" act={act} disabled={name.trim() === "" || excess(name, LONGEST_NAME) > 0}>
          Rename
        </Button>
      </footer>
    </form>
  );
}

function Agents({ machine }: { machine: Machine }) {
  const { rooms } = useWorld();
  const now = useNow();
  if (machine.agents.length === 0) return null;
  return (
    <ul className="rows slim">
      {machine.agents.map((agent) => (
        <li key={agent.agentId}>
          <Link href={to("agents", agent.agentId)} className="row-link">
            <b>
              <Name>{agent.role}</Name>
            </b>
            <span className="note clip">
              <Name>{rooms?.find((room) => room.chatroomId === agent.chatroomId)?.name ?? "an archived room"}</Name> · {exact(agent.tool)} · {shortPath(agent.workingDir)}
            </span>
            <span className="row-states">
              <StateLabel state={standing(agent, machine, now)} />
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

const TOOL_WORDS = {
  ok: { tone: "good", word: "ready" },
  not_signed_in: { tone: "ask", word: "not signed in" },
  broken: { tone: "bad", word: "broken" },
  missing: { tone: "off", word: "not installed" },
} as const;

function Tools({ machine }: { machine: Machine }) {
  const order = { ok: 0, not_signed_in: 1, broken: 2, missing: 3 };
  const tools = [...machine.availableTools].sort((a, b) => order[a.status] - order[b.status]);
  const [here, missing] = [tools.filter((tool) => tool.status !== "missing"), tools.filter((tool) => tool.status === "missing")];
  return (
    <>
      <LookAgain machine={machine} />
      <ToolList tools={here} />
      {missing.length > 0 && (
        <details className="evidence">
          <summary>{plural(missing.length, "other tool")} that chatroom can run, not installed here</summary>
          <ToolList tools={missing} />
        </details>
      )}
    </>
  );
}

/** Has the machine look for its tools anew. */
function LookAgain({ machine }: { machine: Machine }) {
  const commands = useLive(api.machines.listCommands, { machineId: machine.machineId, limit: 60 });
  const act = useAct();
  const last = commands.value?.find((command) => command.type === "status");
  const isUnderWay = last?.status === "pending" || last?.status === "processing";
  return (
    <p className="note look-again">
      <Button
        act={act}
        disabled={isUnderWay || machine.connection !== "connected"}
        onClick={() => void act.run(() => call(api.machines.sendCommand, { machineId: machine.machineId, type: "status", payload: {}, idempotencyKey: newKey() }))}
      >
        Look again
      </Button>{" "}
      <span role="status">
        {isUnderWay && "looking…"}
        {act.error && exact(sentence(act.error.message))}
        {last?.status === "failed" && exact(sentence(last.failure.message))}
      </span>
      {last?.status === "completed" && (
        <>
          looked <Age at={last.finishedAt} suffix=" ago" />
        </>
      )}
    </p>
  );
}

function ToolList({ tools }: { tools: Machine["availableTools"] }) {
  return (
    <ul className="tools">
      {tools.map((tool) => {
        const { tone, word } = TOOL_WORDS[tool.status];
        return (
          <li key={tool.name}>
            <span className={`state tone-${tone}`}>
              <Mark tone={tone} />
              <b className="strong">{exact(tool.name)}</b>
            </span>
            <span className="note" title={tool.path ? exact(tool.path) : undefined}>
              {word}
              {"version" in tool && ` · ${exact(tool.version)}`}
              {tool.status === "broken" && `: ${exact(tool.reason)}`}
            </span>
            {tool.status !== "ok" && <Remedy text={tool.repair} />}
          </li>
        );
      })}
    </ul>
  );
}

const QUESTIONS: Command["type"][] = ["list-models", "check-dir"];

function Commands({ machine }: { machine: Machine }) {
  const commands = useLive(api.machines.listCommands, { machineId: machine.machineId, limit: 60 });
  // What the page asked by itself while somebody filled in a form is nothing that was done.
  const sent = commands.value?.filter((command) => !QUESTIONS.includes(command.type)).slice(0, 15);
  if (commands.error) return <Problem error={commands.error} />;
  if (sent === undefined) return <Loading what="Reading its commands…" />;
  if (sent.length === 0) return <p className="note">No command was sent to it yet.</p>;
  return (
    <ul className="commands">
      {sent.map((command) => {
        const state = commandState(command);
        const result = command.status === "completed" ? command.result : undefined;
        return (
          <li key={command.commandId}>
            <span className={`state tone-${state.tone}`}>
              <Mark tone={state.tone} /> <span className="state-word">{state.word}</span>
            </span>
            <span>
              {commandWord(command.type)}
              {"role" in command.payload && (
                <>
                  {" "}
                  <Name>{command.payload.role}</Name>
                </>
              )}
            </span>
            <Age at={command.createdAt} suffix=" ago" />
            {command.status === "failed" && (
              <p className="note">
                {exact(sentence(command.failure.message))} {command.failure.hint && exact(sentence(command.failure.hint))}
              </p>
            )}
            {result && (result.kind === "stopped" || result.kind === "started_then_exited") && result.exit.how !== "stopped" && <p className="note">{exitWords(result.exit)}</p>}
            {result?.kind === "not_running" && <p className="note">there was nothing to stop</p>}
            {result?.kind === "already_running" && <p className="note">it ran already</p>}
          </li>
        );
      })}
    </ul>
  );
}
