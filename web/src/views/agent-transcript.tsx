// What an agent says and does in its session, row by row, as it happens; a window of it stands in the document.

import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useLayoutEffect, useMemo, useRef, useState } from "react";
import { type Agent, api, type Permission, type TranscriptEvent, type TranscriptPage } from "../data/api";
import { type FeedSource, useFeed } from "../data/feed";
import { useLive } from "../data/live";
import { readTranscript, type Row, taskOf } from "../data/transcript";
import { Link, to } from "../route";
import { clockTime, exact, exactTime, lasting, plural, prose, sentence, shorten, shortPath, terminal } from "../text";
import { Button, Empty, Loading, Mark, Problem, Repair, StateLabel, useNow } from "../ui/basic";
import { DiffView } from "../ui/diff";
import { Markdown } from "../ui/markdown";
import { PermissionCard } from "../ui/permission";
import { agentState, ANSWERED, DECIDERS, KINDS, type Tone } from "../words";

const source = (agentId: string) => (): FeedSource<TranscriptEvent, TranscriptPage> => ({
  query: api.agents.transcript,
  args: { agentId },
  items: (answer) => answer.events,
  seq: (event) => event.seq,
  first: (answer) => answer.firstSeq,
  changes: false,
});

const NEAR_PX = 100;

export const Transcript = memo(function Transcript({ agent, asks }: { agent: Agent; asks: Permission[] }) {
  const feed = useFeed(agent.agentId, source(agent.agentId));
  const rows = useMemo(() => readTranscript(feed.items), [feed.items]);
  const earlier = useEarlier(agent);
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
  }, [rows, total, asks, first, earlier, agent.state]);
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
        <EarlierAgents agents={earlier} role={agent.role} />
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
                  : agent.state === "failed"
                    ? "It never ran, and said nothing."
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
                <RowView row={row} rev={row.rev} permission={row.kind === "asked" ? byRequest.get(row.ask.requestId) : undefined} earlierId={earlier[0]?.agentId} />
              </div>
            );
          })}
        </div>
        <End agent={agent} />
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

/** The agents that held the role before this one, newest first. */
function useEarlier(agent: Agent): Agent[] {
  const agents = useLive(api.agents.list, { chatroomId: agent.chatroomId, includeEnded: true });
  return useMemo(
    () =>
      (agents.value ?? [])
        .filter((other) => other.role === agent.role && other.createdAt < agent.createdAt)
        .sort((a, b) => b.createdAt - a.createdAt),
    [agents.value, agent.role, agent.createdAt],
  );
}

function EarlierAgents({ agents, role }: { agents: Agent[]; role: string }) {
  const now = useNow();
  if (agents.length === 0) return null;
  return (
    <details className="earlier-agents">
      <summary className="note">
        {plural(agents.length, "earlier agent")} of {exact(role)}
      </summary>
      <ul>
        {agents.map((agent) => (
          <li key={agent.agentId}>
            <Link href={to("agents", agent.agentId)}>
              {exact(agent.tool)}, started {clockTime(agent.createdAt, now)}
            </Link>{" "}
            <StateLabel state={agentState(agent, now)} />
          </li>
        ))}
      </ul>
    </details>
  );
}

/** How it ended, where its transcript ends. */
function End({ agent }: { agent: Agent }) {
  const now = useNow();
  if (agent.state !== "failed" && agent.state !== "exited") return null;
  const state = agentState(agent, now);
  return (
    <p className="t-end">
      <Mark tone={state.tone} /> {sentence(state.evidence)}{" "}
      <time className="note" dateTime={new Date(agent.at).toISOString()} title={exactTime(agent.at)}>
        {clockTime(agent.at, now)}
      </time>
    </p>
  );
}

const STATUS: Record<Extract<Row, { kind: "call" }>["status"], { tone: Tone; word: string }> = {
  pending: { tone: "passing", word: "not begun" },
  in_progress: { tone: "busy", word: "runs" },
  completed: { tone: "good", word: "ok" },
  failed: { tone: "bad", word: "failed" },
};

/** Rows are changed in place: their revision tells when. */
const RowView = memo(function RowView({ row, permission, earlierId }: { row: Row; rev: number; permission: Permission | undefined; earlierId: string | undefined }) {
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
      return <NoteView row={row} earlierId={earlierId} />;
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

function NoteView({ row, earlierId }: { row: Extract<Row, { kind: "note" }>; earlierId: string | undefined }) {
  const entry = row.entry;
  const time = (
    <time className="note" dateTime={new Date(row.at).toISOString()} title={exactTime(row.at)}>
      {clockTime(row.at, Date.now())}
    </time>
  );
  switch (entry.kind) {
    case "prompt": {
      const words = { task: "Task", reminder: "Reminder", person: "You" }[entry.source.by];
      const task = taskOf(entry.text);
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
          {entry.model && ` with ${exact(entry.model)}`}{" "}
          {entry.resumed && earlierId !== undefined && <Link href={to("agents", earlierId)}>what was said before</Link>} {time}
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
