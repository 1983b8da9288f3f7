// One agent: its live transcript, what it asks, and a box to speak to it.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { type Agent, type AgentInput, api, type Permission, type TranscriptEvent, type TranscriptPage } from "../data/api";
import { type FeedSource, useFeed } from "../data/feed";
import { call, newKey, useAct, useLive } from "../data/live";
import { readTranscript, type Row } from "../data/transcript";
import { useMachine, useRoom, useWorld } from "../data/world";
import { Link, to } from "../route";
import { clockTime, exact, exactTime, lasting, plural, prose, shorten, shortPath, terminal } from "../text";
import { Age, Button, Copyable, Empty, Loading, Mark, Name, Problem, Repair, StateLabel, useNow } from "../ui/basic";
import { CommandLife, useRoleCommand } from "../ui/command";
import { DiffView } from "../ui/diff";
import { Markdown } from "../ui/markdown";
import { Menu } from "../ui/overlay";
import { PermissionCard } from "../ui/permission";
import { Why } from "./room-team";
import { agentState, ANSWERED, DECIDERS, isActive, KINDS, MODES, roleState, type Tone } from "../words";

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
  const isUnderWay = command?.status === "pending" || command?.status === "processing";
  const turn = agent.session?.turn?.state;
  const isInTurn = agent.state === "running" && (turn === "working" || turn === "waiting_for_permission");
  const send = (type: "start-agent" | "stop-agent" | "restart-agent"): void =>
    void act.run(() =>
      call(api.machines.sendCommand, { machineId: agent.machineId, type, payload: { chatroomId: agent.chatroomId, role: agent.role }, idempotencyKey: newKey() }),
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
        {runs ? (
          <Button act={act} disabled={isUnderWay || agent.state === "stopping"} onClick={() => send("stop-agent")}>
            Stop
          </Button>
        ) : (
          isNewest && (
            <Button look="main" act={act} disabled={isUnderWay} onClick={() => send("start-agent")}>
              Start again
            </Button>
          )
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
        {isNewest && <Why blocked={status?.blocked} />}
        <details className="evidence">
          <summary>How this is known, and logs</summary>
          <p>{state.evidence}</p>
          {agent.session?.sessionId && (
            <p>
              Session of the tool: <code className="id">{exact(agent.session.sessionId)}</code>
            </p>
          )}
          <p>
            Everything that its process wrote: <Copyable text={`chatroom agent logs --chatroom-id=${agent.chatroomId} --role=${agent.role}`} />
          </p>
        </details>
        <CommandLife command={command} machine={machine} />
        <Problem error={act.error} />
      </div>
      <Transcript agent={agent} asks={permissions.value ?? NONE} />
      <Talk agent={agent} />
    </main>
  );
}

const source = (agentId: string) => (): FeedSource<TranscriptEvent> => ({
  query: api.agents.transcript,
  args: { agentId },
  items: (answer: TranscriptPage) => answer.events,
  seq: (event) => event.seq,
  first: (answer: TranscriptPage) => answer.firstSeq,
  changes: false,
});

const NEAR_PX = 100;

const NONE: Permission[] = [];

const Transcript = memo(function Transcript({ agent, asks }: { agent: Agent; asks: Permission[] }) {
  const feed = useFeed(agent.agentId, source(agent.agentId) as never) as ReturnType<typeof useFeed<TranscriptEvent>>;
  const rows = useMemo(() => readTranscript(feed.items), [feed.items]);
  const byRequest = useMemo(() => new Map(asks.map((permission) => [permission.requestId, permission])), [asks]);
  const scroller = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const [isFollowing, setFollowing] = useState(true);
  const plan = useMemo(() => rows.findLast((row) => row.kind === "plan"), [rows]);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => (rows[index]?.kind === "call" ? 34 : 56),
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 8,
    paddingStart: 8,
    paddingEnd: 12,
  });
  const total = virtualizer.getTotalSize();
  const first = feed.items[0]?.seq;
  const before = useRef({ first, total });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    if (isAtEnd.current) element.scrollTop = element.scrollHeight;
    // What came in above must not move what is being read.
    else if (first !== before.current.first) element.scrollTop += total - before.current.total;
    before.current = { first, total };
  }, [rows, total, asks, first]);
  return (
    <section className="transcript" aria-label="Transcript">
      <div
        className="scroller"
        ref={scroller}
        tabIndex={0}
        role="log"
        aria-label="What the agent says and does"
        aria-live="off"
        onScroll={(event) => {
          const element = event.currentTarget;
          isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
          if (isAtEnd.current !== isFollowing) setFollowing(isAtEnd.current);
        }}
      >
        {feed.hasEarlier && (
          <p className="earlier">
            <Button
              look="quiet"
              disabled={feed.isLoadingEarlier}
              onClick={() => {
                isAtEnd.current = false;
                feed.loadEarlier();
              }}
            >
              {feed.isLoadingEarlier ? "Reading…" : `Earlier (${plural((first ?? 1) - 1, "event")})`}
            </Button>
          </p>
        )}
        {feed.isLoading && <Loading what="Reading the transcript…" />}
        <Problem error={feed.error} />
        {!feed.isLoading && !feed.error && rows.length === 0 && (
          <Empty title="Nothing yet">
            <p>
              {agent.state === "starting"
                ? "Its machine was told to start it. What it says and does appears here."
                : agent.state === "running"
                  ? "Its process runs; what it says and does appears here. It waits for a task, or for what you say to it below."
                  : "This agent said nothing before it ended."}
            </p>
          </Empty>
        )}
        <div className="rows-virtual" style={{ height: total }}>
          {virtualizer.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            return (
              <div key={item.key} ref={virtualizer.measureElement} data-index={item.index} className="row-virtual" style={{ transform: `translateY(${item.start}px)` }}>
                <RowView row={row} rev={row.rev} permission={row.kind === "asked" ? byRequest.get(row.ask.requestId) : undefined} isLast={item.index === rows.length - 1} />
              </div>
            );
          })}
        </div>
      </div>
      {!isFollowing && (
        <Button
          className="jump"
          local
          onClick={() => {
            isAtEnd.current = true;
            virtualizer.scrollToIndex(rows.length - 1, { align: "end" });
          }}
        >
          To the newest ↓
        </Button>
      )}
      {plan?.kind === "plan" && plan.steps.some((step) => step.status !== "completed") && agent.session?.turn?.state === "working" && (
        <p className="plan-now clip">
          <Mark tone="busy" /> {plan.steps.filter((step) => step.status === "completed").length}/{plan.steps.length}{" "}
          {exact(plan.steps.find((step) => step.status === "in_progress")?.content ?? plan.steps.find((step) => step.status === "pending")?.content ?? "")}
        </p>
      )}
    </section>
  );
});

const STATUS: Record<Extract<Row, { kind: "call" }>["status"], { tone: Tone; word: string }> = {
  pending: { tone: "passing", word: "not begun" },
  in_progress: { tone: "busy", word: "runs" },
  completed: { tone: "good", word: "ok" },
  failed: { tone: "bad", word: "failed" },
};

/** Rows are changed in place: their revision tells when. */
const RowView = memo(function RowView({ row, permission }: { row: Row; rev: number; permission: Permission | undefined; isLast: boolean }) {
  switch (row.kind) {
    case "text":
      return (
        <div className="t-text">
          <Markdown text={row.text} />
        </div>
      );
    case "thought":
      return (
        <details className="t-thought">
          <summary>
            Thought <span className="note">{exact(shorten(row.text.replace(/\s+/g, " ").trim(), 100))}</span>
          </summary>
          <Markdown text={row.text} />
        </details>
      );
    case "output":
      return (
        <details className="t-output">
          <summary>Its process wrote</summary>
          <pre tabIndex={0} aria-label="What its process wrote">
            {terminal(row.text)}
          </pre>
        </details>
      );
    case "call":
      return <CallView row={row} />;
    case "plan":
      return (
        <section className="t-plan" aria-label="Plan">
          <ol>
            {row.steps.map((step, index) => (
              <li key={index} className={step.status}>
                <Mark tone={STATUS[step.status].tone} label={STATUS[step.status].word} /> {exact(step.content)}
              </li>
            ))}
          </ol>
        </section>
      );
    case "asked":
      if (row.outcome === undefined && permission !== undefined) return <PermissionCard permission={permission} />;
      return (
        <p className={row.outcome === undefined ? "t-note" : "t-note clip"} title={exact(row.ask.command ?? row.ask.title)}>
          <Mark tone={row.outcome === undefined ? "ask" : row.outcome.how === "selected" && row.outcome.choice.startsWith("allow") ? "good" : "off"} />{" "}
          {row.outcome === undefined
            ? "It waits for an answer"
            : row.outcome.how === "withdrawn"
              ? "Nobody answers any more"
              : `${ANSWERED[row.outcome.choice]} ${DECIDERS[row.outcome.by]}`}
          : <span className="note">{KINDS[row.ask.toolKind]}</span> <code>{exact(shorten((row.ask.command ?? row.ask.title).replace(/\s+/g, " "), 300))}</code>
        </p>
      );
    case "note":
      return <NoteView row={row} />;
  }
});

function CallView({ row }: { row: Extract<Row, { kind: "call" }> }) {
  const status = STATUS[row.status];
  const isOver = row.status === "completed" || row.status === "failed";
  const plus = row.diffs.length;
  const output = row.output === undefined ? "" : terminal(row.output).trimEnd();
  return (
    <details className={`t-call ${row.status}`}>
      <summary>
        <Mark tone={status.tone} label={status.word} />
        <span className="t-kind">{KINDS[row.toolKind]}</span>
        <span className="clip t-title">{row.command === undefined ? exact(row.title) : <code>{exact(row.command)}</code>}</span>
        {plus > 0 && <span className="note">{plural(plus, "file")}</span>}
        <span className="note">{!isOver ? status.word : row.endAt - row.at < 100 ? "" : lasting(row.endAt - row.at)}</span>
      </summary>
      <div className="t-body">
        {row.command !== undefined && row.command.length > 60 && (
          <pre tabIndex={0} aria-label="Command">
            <code>{exact(row.command)}</code>
          </pre>
        )}
        {row.command !== undefined && row.title !== row.command && <p className="note">{exact(row.title)}</p>}
        {row.paths.length > 0 && row.diffs.length === 0 && (
          <p className="note">
            {row.paths.slice(0, 20).map((path) => (
              <bdi key={path} className="path">
                {shortPath(path)}
              </bdi>
            ))}
          </p>
        )}
        {row.diffs.map((diff, index) => (
          <DiffView key={index} diff={diff} />
        ))}
        {output !== "" && (
          <pre className="terminal" tabIndex={0} aria-label="Output">
            {output}
          </pre>
        )}
        {output === "" && row.diffs.length === 0 && <p className="note">{isOver ? "It gave no output." : "No output yet."}</p>}
      </div>
    </details>
  );
}

const ENDS: Record<string, string> = {
  end_turn: "Turn over",
  cancelled: "Turn cancelled",
  refusal: "The model refused",
  limit: "A limit was reached",
  error: "The tool failed",
};

function NoteView({ row }: { row: Extract<Row, { kind: "note" }> }) {
  const entry = row.entry;
  const time = (
    <time className="note" dateTime={new Date(row.at).toISOString()} title={exactTime(row.at)}>
      {clockTime(row.at, Date.now())}
    </time>
  );
  switch (entry.kind) {
    case "prompt": {
      const words = { task: "Task", reminder: "Reminder", person: "You" }[entry.source.by];
      // A brief holds the text of its task, each line behind a bar, and around it what every task needs.
      const task = entry.text
        .split("\n")
        .filter((line) => /^\s*\|( |$)/.test(line))
        .map((line) => line.trimStart().slice(2))
        .join("\n");
      const isLong = entry.source.by !== "person" && entry.text.length > 400;
      return (
        <section className={`t-prompt ${entry.source.by}`} aria-label={words}>
          <p className="message-head">
            <b>{words}</b> {"delivery" in entry.source && entry.source.delivery > 1 && <span className="note">delivery {entry.source.delivery}</span>} {time}
          </p>
          {isLong && task !== "" && <Markdown text={task} />}
          {isLong ? (
            <details>
              <summary className="note">{task === "" ? exact(shorten(entry.text.trim(), 240)) : "The whole brief"}</summary>
              <pre tabIndex={0} aria-label="All of it">
                {prose(entry.text)}
              </pre>
            </details>
          ) : (
            <Markdown text={entry.text} />
          )}
        </section>
      );
    }
    case "session_started":
      return (
        <p className="t-rule">
          Session {entry.resumed ? "taken up again" : "started"}
          {entry.model && ` with ${exact(entry.model)}`} {time}
        </p>
      );
    case "turn_ended":
      return (
        <p className={`t-rule ${entry.reason}`}>
          {ENDS[entry.reason] ?? exact(entry.reason)}
          {entry.message && `: ${exact(entry.message)}`} {time}
        </p>
      );
    case "retrying":
      return (
        <p className="t-note">
          <Mark tone="passing" /> {exact(entry.message)} · trying again{entry.attempt !== undefined && ` (${entry.attempt})`}
        </p>
      );
    case "trouble":
      return (
        <div className="t-note t-trouble">
          <Mark tone="bad" /> {exact(entry.trouble.message)} {entry.trouble.repair && <Repair text={entry.trouble.repair} />}
        </div>
      );
    case "compacted":
      return <p className="t-rule">The tool has shortened its memory of the session {time}</p>;
    case "needs_you":
      return (
        <p className="t-note tone-ask">
          <Mark tone="ask" /> Its turn has ended and its task is still open, though it was reminded. It needs you: say below what to do.
        </p>
      );
    case "input_refused":
      return (
        <p className="t-note">
          <Mark tone="bad" /> What you sent did not reach it: {exact(entry.reason)}
        </p>
      );
    case "dropped":
      return <p className="t-rule">{plural(entry.events, "event")} are missing here: dropped for age or size</p>;
    default:
      return null;
  }
}

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
  const submit = (event: { preventDefault: () => void }): void => {
    event.preventDefault();
    const said = text.trim();
    if (said === "") return;
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
      <div className="composer-row">
        <textarea
          ref={area}
          rows={1}
          value={text}
          maxLength={100_000}
          dir="auto"
          aria-label={`Say something to ${agent.role}`}
          placeholder={`Say something to ${exact(agent.role)}`}
          title="What you say here goes into its session; a task goes through the room"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event: KeyboardEvent<HTMLTextAreaElement>) => {
            if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) submit(event);
          }}
        />
        <Button look="main" type="submit" act={act} disabled={text.trim() === ""}>
          Say
        </Button>
      </div>
    </form>
  );
}
