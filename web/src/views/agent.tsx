// One agent: its live transcript, what it asks, and a box to speak to it.

import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from "react";
import { type Agent, type AgentInput, api, type Permission } from "../data/api";
import { call, newKey, useAct, useLive } from "../data/live";
import { useMachine, useRoom, useWorld } from "../data/world";
import { Link, to } from "../route";
import { exact, excess, shorten, shortPath } from "../text";
import { Age, Button, Copyable, Empty, Excess, Loading, Mark, Name, Problem, StateLabel, useNow } from "../ui/basic";
import { Known, useRoleCommand } from "../ui/command";
import { Menu } from "../ui/overlay";
import { agentState, isActive, machineOf, MODES, roleState, waitsToStart } from "../words";
import { Transcript } from "./agent-transcript";
import { Why } from "./room-team";

const NONE: Permission[] = [];

export function AgentView({ agentId }: { agentId: string }) {
  const agent = useLive(api.agents.get, { agentId });
  if (agent.value === undefined) {
    return (
      <main id="main" className="page">
        {agent.error ? (
          <Empty title="There is no such agent">
            <p>
              <Link href="/rooms">Your rooms</Link>
            </p>
          </Empty>
        ) : (
          <Loading what="Reading the agent…" />
        )}
      </main>
    );
  }
  return <AgentBody agent={agent.value} />;
}

function AgentBody({ agent }: { agent: Agent }) {
  const room = useRoom(agent.chatroomId);
  const machine = useMachine(agent.machineId);
  const { roles } = useWorld();
  const now = useNow();
  const status = roles.get(agent.chatroomId)?.value?.find((one) => one.role === agent.role);
  const isNewest = status?.agent?.agentId === agent.agentId;
  const state = status && isNewest ? roleState(status, machine, now) : agentState(agent, now);
  const command = useRoleCommand(agent.machineId, agent.chatroomId, agent.role);
  const permissions = useLive(api.permissions.list, { agentId: agent.agentId });
  const act = useAct();
  const runs = isActive(agent);
  const waits = isNewest && status !== undefined && waitsToStart(status);
  const isUnderWay = command?.status === "pending" || command?.status === "processing";
  const isTold = command?.status === "failed" && (status?.blocked?.message.includes(command.failure.message) ?? false);
  const turn = agent.session?.turn?.state;
  const isInTurn = agent.state === "running" && (turn === "working" || turn === "waiting_for_permission");
  const send = (type: "start-agent" | "stop-agent" | "restart-agent"): void =>
    void act.run(() =>
      call(api.machines.sendCommand, { machineId: (isNewest && status && machineOf(status)) || agent.machineId, type, payload: { chatroomId: agent.chatroomId, role: agent.role }, idempotencyKey: newKey() }),
    );
  return (
    <main id="main" className="agent">
      <header className="room-head">
        <h1 className="clip">
          {room && (
            <>
              <Link href={to("rooms", room.chatroomId)}>
                <Name>{room.name}</Name>
              </Link>
              <span className="note"> / </span>
            </>
          )}
          <Name>{agent.role}</Name>
        </h1>
        <StateLabel state={state} />
        <span className="grow" />
        {isInTurn && (
          <Button act={act} onClick={() => void act.run(() => call(api.agents.cancelTurn, { agentId: agent.agentId, idempotencyKey: newKey() }))}>
            Cancel turn
          </Button>
        )}
        {!runs && isNewest && (
          <Button look="main" act={act} disabled={isUnderWay} onClick={() => send("start-agent")}>
            Start again
          </Button>
        )}
        {(runs || waits) && (
          <Button act={act} disabled={isUnderWay || agent.state === "stopping"} title={waits ? "It is not started again by itself" : undefined} onClick={() => send("stop-agent")}>
            Stop
          </Button>
        )}
        <Menu label="More about this agent" items={[{ label: "Restart", disabled: !runs || isUnderWay, onSelect: () => send("restart-agent") }]} />
      </header>
      <div className="agent-facts">
        <p className="facts inline-facts">
          <span>{exact(agent.tool)}</span>
          <span>{agent.model ? exact(agent.model) : "default model"}</span>
          <span>{machine ? <Name>{machine.name}</Name> : "a machine that was removed"}</span>
          <span className="clip" title={exact(agent.workingDir)}>
            {shortPath(agent.workingDir)}
          </span>
          {agent.permissionMode && <span title={MODES[agent.permissionMode].what}>{MODES[agent.permissionMode].name.toLowerCase()}</span>}
        </p>
        {status && !isNewest && status.agent && (
          <p className="warn">
            This agent has ended. <Link href={to("agents", status.agent.agentId)}>The one that holds the role now</Link>
          </p>
        )}
        {isNewest && <Why status={status} />}
        <Known summary="How this is known, and logs" command={command} machine={machine} isTold={isTold}>
          <p>{state.evidence}</p>
          {agent.session?.sessionId && (
            <p>
              Session of the tool: <code className="id">{exact(agent.session.sessionId)}</code>
            </p>
          )}
          <p>
            Everything that its process wrote: <Copyable text={`chatroom agent logs --chatroom-id=${agent.chatroomId} --role=${agent.role}`} />
          </p>
        </Known>
        <Problem error={act.error} />
      </div>
      <Transcript agent={agent} asks={permissions.value ?? NONE} />
      <Talk agent={agent} />
    </main>
  );
}

/** So many characters its machine takes. */
const LONGEST = 100_000;

/** What was said to the agent and has not reached it, and where one says more. */
function Talk({ agent }: { agent: Agent }) {
  const inputs = useLive(api.agents.listInputs, { agentId: agent.agentId });
  const [text, setText] = useState("");
  const act = useAct();
  const area = useRef<HTMLTextAreaElement>(null);
  const runs = agent.state === "running" || agent.state === "starting";
  const now = useNow();
  const open = ((inputs.value ?? []) as AgentInput[]).filter(
    (input) => input.input !== "answer" && (input.state === "queued" || (input.state === "refused" && now - input.at < 30_000)),
  );
  useLayoutEffect(() => {
    const element = area.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight + 2, 200)}px`;
  }, [text]);
  useEffect(() => {
    if (runs && matchMedia("(pointer: fine)").matches) area.current?.focus({ preventScroll: true });
  }, [runs]);
  if (!runs) return <p className="note composer">This agent has ended: nothing can be said to it.</p>;
  const isTooLong = excess(text, LONGEST) > 0;
  const submit = (event: { preventDefault: () => void }): void => {
    event.preventDefault();
    const said = text.trim();
    if (said === "" || isTooLong) return;
    void act.run(() => call(api.agents.send, { agentId: agent.agentId, text: said, idempotencyKey: newKey() })).then((isDone) => isDone && setText(""));
  };
  return (
    <form className="composer" onSubmit={submit}>
      {open.map((input) => (
        <p key={input.inputId} className="note clip" role="status">
          <Mark tone={input.state === "refused" ? "bad" : "passing"} /> {input.input === "say" ? `“${exact(shorten(input.text, 80))}”` : "cancel"}{" "}
          {input.state === "refused" ? `did not reach it: ${exact(input.reason)}` : "queued until its machine takes it"} <Age at={input.createdAt} />
        </p>
      ))}
      <Problem error={act.error ?? inputs.error} />
      <Excess text={text} most={LONGEST} />
      <div className="composer-row">
        <textarea
          ref={area}
          rows={1}
          value={text}
          dir="auto"
          aria-label={`Say something to ${agent.role}`}
          placeholder={`Say something to ${exact(agent.role)}: no task, it stays out of the room`}
          title="What you say here goes into its session; a task goes through the room"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event: KeyboardEvent<HTMLTextAreaElement>) => {
            if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) submit(event);
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <Button look="main" type="submit" act={act} disabled={text.trim() === "" || isTooLong}>
          Say
        </Button>
      </div>
    </form>
  );
}
