// What was said in a room, with what became of it; and where one writes.

import { type FormEvent, type KeyboardEvent, memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { api, type Chatroom, type Context, type Message, type Receipt, type RoleStatus } from "../data/api";
import { type FeedSource, useFeed } from "../data/feed";
import { call, newKey, type Refused, refusal, useAct, useLive } from "../data/live";
import { useWorld } from "../data/world";
import { Link, to } from "../route";
import { clockTime, exact, exactTime, excess, plural, sentence } from "../text";
import { Button, Empty, Excess, Loading, Mark, Name, Problem, StateLabel, useNow } from "../ui/basic";
import { Markdown } from "../ui/markdown";
import { PermissionCard } from "../ui/permission";
import { isActive, lastEnd, machineOf, nextStart, roleState, type State, type Tone, waitsToStart } from "../words";
import { ArtifactLink } from "./room-work";

type Sending = { key: string; role: string; text: string; error?: Refused };

const source = (chatroomId: string) => (): FeedSource<Message, Message[]> => ({
  query: api.messages.list,
  args: { chatroomId },
  items: (answer) => answer,
  seq: (message) => message.sequence,
  changes: true,
});

/** So near to the end one reads along. */
const NEAR_PX = 80;

export function Conversation({ room }: { room: Chatroom }) {
  const feed = useFeed(room.chatroomId, source(room.chatroomId));
  const contexts = useLive(api.contexts.list, { chatroomId: room.chatroomId });
  const { unread } = useWorld();
  const [sending, setSending] = useState<Sending[]>([]);
  const scroller = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const [hasMore, setHasMore] = useState(false);
  const waiting = unread.get(room.chatroomId) ?? [];
  const lastSequence = feed.items.at(-1)?.sequence ?? 0;

  const height = useRef(0);
  const firstSequence = feed.items[0]?.sequence;
  const before = useRef(firstSequence);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    if (isAtEnd.current) {
      element.scrollTop = element.scrollHeight;
      setHasMore(false);
    } else if (firstSequence !== before.current && element.scrollTop < NEAR_PX) {
      // What came in above must not move what is being read.
      element.scrollTop += element.scrollHeight - height.current;
    } else if (element.scrollHeight > height.current) setHasMore(true);
    before.current = firstSequence;
    height.current = element.scrollHeight;
  }, [feed.items, sending, firstSequence]);

  // What comes and goes below the messages must not cover the newest.
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      if (isAtEnd.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // A message counts as seen when the page is in front and its end was on the screen.
  const [isInFront, setInFront] = useState(() => document.hasFocus());
  useEffect(() => {
    const look = (): void => setInFront(document.hasFocus() && document.visibilityState === "visible");
    for (const event of ["focus", "blur"]) addEventListener(event, look);
    document.addEventListener("visibilitychange", look);
    return () => {
      for (const event of ["focus", "blur"]) removeEventListener(event, look);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  // The line "new" stands where one left off: when the room was opened, or when the page was left.
  const newFrom = useRef<number | null>(null);
  const isShown = useRef(false);
  if (newFrom.current === null && waiting[0] !== undefined && (!isInFront || !isShown.current)) newFrom.current = waiting[0].sequence;
  useEffect(() => {
    if (!feed.isLoading) isShown.current = true;
  }, [feed.isLoading]);
  useEffect(() => {
    if (!isInFront) newFrom.current = null;
  }, [isInFront]);

  const isUnseen = waiting.length > 0;
  useEffect(() => {
    if (!isInFront || !isUnseen || hasMore || lastSequence === 0) return;
    const timer = setTimeout(() => {
      void call(api.messages.markSeen, { chatroomId: room.chatroomId, upTo: lastSequence }).catch(() => undefined);
    }, 800);
    return () => clearTimeout(timer);
  }, [isInFront, isUnseen, hasMore, lastSequence, room.chatroomId]);

  const send = async (text: string, role: string): Promise<void> => {
    const one: Sending = { key: newKey(), role, text };
    isAtEnd.current = true;
    setSending((all) => [...all.filter((other) => other.error === undefined), one]);
    try {
      await call(api.messages.send, { chatroomId: room.chatroomId, content: text, role, idempotencyKey: one.key });
      setSending((all) => all.filter((other) => other.key !== one.key));
    } catch (error) {
      setSending((all) => all.map((other) => (other.key === one.key ? { ...other, error: refusal(error) } : other)));
      throw error;
    }
  };

  const byAfter = useMemo(() => new Map((contexts.value ?? []).map((context) => [context.afterSequence, context])), [contexts.value]);
  return (
    <section className="conversation" aria-label="Conversation">
      <div
        className="scroller"
        ref={scroller}
        tabIndex={0}
        role="log"
        aria-label="Messages"
        onScroll={(event) => {
          const element = event.currentTarget;
          isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
          if (isAtEnd.current) setHasMore(false);
        }}
      >
        {feed.hasEarlier && (
          <p className="earlier">
            <Button look="quiet" disabled={feed.isLoadingEarlier} onClick={feed.loadEarlier}>
              {feed.isLoadingEarlier ? "Reading…" : "Earlier messages"}
            </Button>
          </p>
        )}
        {feed.isLoading && <Loading what="Reading the conversation…" />}
        <Problem error={feed.error} />
        {!feed.isLoading && feed.items.length === 0 && sending.length === 0 && (
          <Empty title="Nothing was said yet">
            <p>Type a task below. It goes to {exact(room.team.entryRole)}, who takes it as soon as its agent runs, and what comes of it appears here.</p>
          </Empty>
        )}
        <ol className="messages">
          {feed.items.map((message) => (
            <MessageRow
              key={message.sequence}
              message={message}
              chatroomId={room.chatroomId}
              isNewFrom={message.sequence === newFrom.current}
              context={byAfter.get(message.sequence - 1)}
            />
          ))}
          {sending.map((one) => (
            <li key={one.key} className={one.error ? "message mine" : "message mine sending"}>
              <p className="message-head">
                <b>you</b> → <Name>{one.role}</Name> <span className="receipt">{one.error ? "not sent" : "sending…"}</span>
              </p>
              <Markdown text={one.text} />
              <Problem error={one.error} />
            </li>
          ))}
        </ol>
      </div>
      {hasMore && (
        <Button
          className="jump"
          local
          onClick={() => {
            const element = scroller.current;
            if (element) element.scrollTop = element.scrollHeight;
          }}
        >
          New below ↓
        </Button>
      )}
      <LiveStrip room={room} />
      {room.archivedAt === undefined ? <Composer room={room} onSend={send} /> : <p className="note composer">This room is archived: it takes no more messages.</p>}
    </section>
  );
}

const STAGES: Record<Receipt["stage"], { word: string; tone: Tone }> = {
  queued: { word: "queued", tone: "passing" },
  delivered: { word: "delivered", tone: "passing" },
  seen: { word: "taken", tone: "busy" },
  started: { word: "working", tone: "busy" },
  done: { word: "done", tone: "good" },
  cancelled: { word: "cancelled", tone: "off" },
};

const SEEN_BY_YOU: { word: string; tone: Tone } = { word: "seen", tone: "off" };

function receiptWords(receipt: Receipt): string {
  const steps = [
    `queued ${exactTime(receipt.queuedAt)}`,
    receipt.deliveredAt !== undefined && `handed to ${receipt.role} (delivery ${receipt.delivery}) ${exactTime(receipt.deliveredAt)}`,
    receipt.seenAt !== undefined && `${receipt.role === "user" ? "seen" : "taken"} ${exactTime(receipt.seenAt)}`,
    receipt.startedAt !== undefined && `started ${exactTime(receipt.startedAt)}`,
    receipt.endedAt !== undefined && `${receipt.stage} ${exactTime(receipt.endedAt)}`,
  ];
  return steps.filter((step) => step !== false).join("\n");
}

const LONG = 8000;

const MessageRow = memo(function MessageRow(props: { message: Message; chatroomId: string; isNewFrom: boolean; context: Context | undefined }) {
  const { message, context } = props;
  const [isWhole, setWhole] = useState(false);
  const isMine = message.senderRole === "user";
  const isLong = message.content.length > LONG && !isWhole;
  const receipt = message.receipt;
  const stage = receipt && (message.targetRole === "user" && receipt.stage === "seen" ? SEEN_BY_YOU : STAGES[receipt.stage]);
  return (
    <>
      {context && (
        <li className="divider" title={exact(context.content)}>
          <span>
            New context: <Name>{context.title}</Name>
          </span>
        </li>
      )}
      {props.isNewFrom && (
        <li className="divider new">
          <span>New</span>
        </li>
      )}
      <li className={`message ${message.kind} ${isMine ? "mine" : ""}`}>
        <p className="message-head">
          <b>{isMine ? "you" : <Name>{message.senderRole}</Name>}</b>
          {message.kind !== "progress" && <> → {message.targetRole === "user" ? "you" : <Name>{message.targetRole}</Name>}</>}
          {message.kind === "progress" && <span className="note">reports</span>}
          <MessageTime at={message.createdAt} />
          {stage && receipt && (
            <span className={`receipt tone-${stage.tone}`} title={receiptWords(receipt)}>
              <Mark tone={stage.tone} /> {message.targetRole === "user" && receipt.stage === "queued" ? "not seen yet" : stage.word}
              {receipt.delivery > 1 && ` · delivery ${receipt.delivery}`}
            </span>
          )}
        </p>
        <Markdown text={isLong ? message.content.slice(0, LONG) : message.content} />
        {isLong && (
          <Button look="quiet" local onClick={() => setWhole(true)}>
            Show the other {plural(message.content.length - LONG, "character")}
          </Button>
        )}
        {message.artifacts && message.artifacts.length > 0 && (
          <p className="chips">
            {message.artifacts.map((artifact) => (
              <ArtifactLink key={`${artifact.name} ${artifact.version}`} chatroomId={props.chatroomId} name={artifact.name} version={artifact.version} />
            ))}
          </p>
        )}
      </li>
    </>
  );
});

function MessageTime({ at }: { at: number }) {
  return (
    <time className="note" dateTime={new Date(at).toISOString()} title={exactTime(at)}>
      {clockTime(at, Date.now())}
    </time>
  );
}

/** What the agents of the room do now, and what they ask. */
function LiveStrip({ room }: { room: Chatroom }) {
  const { roles, permissions, machines } = useWorld();
  const now = useNow();
  const statuses = (roles.get(room.chatroomId)?.value ?? []) as RoleStatus[];
  const asks = permissions.filter((permission) => permission.chatroomId === room.chatroomId);
  const stateOf = (status: RoleStatus): State => roleState(status, machines?.find((machine) => machine.machineId === status.agent?.machineId), now);
  const busy = statuses.filter(
    (status) => isActive(status.agent) && status.agent?.session.turn?.state !== "idle" && !asks.some((permission) => permission.agentId === status.agent?.agentId),
  );
  // Where the team's cards are out of sight, what has failed stands here.
  const down = statuses.map((status) => ({ status, state: stateOf(status) })).filter(({ status, state }) => !isActive(status.agent) && state.tone === "bad");
  if (busy.length === 0 && asks.length === 0 && down.length === 0) return null;
  return (
    <div className={busy.length === 0 && asks.length === 0 ? "strip phone-only" : "strip"}>
      {down.map(({ status, state }) => (
        <Down key={status.role} room={room} status={status} state={state} />
      ))}
      {busy.map((status) => (
        <p key={status.role} className="strip-line">
          <b>
            <Name>{status.role}</Name>
          </b>
          <StateLabel state={stateOf(status)} />
          {status.blocked?.by === "needs_you" && <span className="clip">{exact(sentence(status.blocked.message))}</span>}
          <span className="grow" />
          {status.agent && <Link href={to("agents", status.agent.agentId)}>Watch</Link>}
        </p>
      ))}
      {asks.slice(0, 3).map((permission) => (
        <PermissionCard key={permission.permissionId} permission={permission} />
      ))}
      {asks.length > 3 && (
        <p>
          <Link href="/inbox">{plural(asks.length - 3, "more question")} in the inbox</Link>
        </p>
      )}
    </div>
  );
}

function Down({ room, status, state }: { room: Chatroom; status: RoleStatus; state: State }) {
  const act = useAct();
  const now = useNow();
  const machineId = machineOf(status);
  const send = (type: "start-agent" | "stop-agent"): void => {
    if (machineId === undefined) return;
    void act.run(() => call(api.machines.sendCommand, { machineId, type, payload: { chatroomId: room.chatroomId, role: status.role }, idempotencyKey: newKey() }));
  };
  return (
    <div className="phone-only">
      <p className="strip-line">
        <b>
          <Name>{status.role}</Name>
        </b>
        <StateLabel state={state} />
        <span className="grow" />
        <Button act={act} onClick={() => send("start-agent")}>
          Start
        </Button>
        {waitsToStart(status) && (
          <Button act={act} onClick={() => send("stop-agent")}>
            Stop
          </Button>
        )}
      </p>
      <p className="note">{waitsToStart(status) ? `${sentence(lastEnd(status)?.how ?? "")} ${nextStart(status, now)}` : exact(sentence(status.blocked?.message ?? ""))}</p>
      <Problem error={act.error} />
    </div>
  );
}

/** Why nobody takes at once what is sent to a role, and what becomes of it. */
function awayWords(status: RoleStatus, startsOnTask: boolean): string {
  const role = exact(status.role);
  if (waitsToStart(status)) return `What you send waits until the agent of ${role} runs again.`;
  if (startsOnTask && status.desired?.givenUp === undefined) return `The agent of ${role} starts when you send it something.`;
  return `No agent of ${role} runs: what you send waits in the queue.`;
}
/** So many characters the server takes. */
const LONGEST = 100_000;

function Composer({ room, onSend }: { room: Chatroom; onSend: (text: string, role: string) => Promise<void> }) {
  const draftKey = `chatroom.draft.${room.chatroomId}`;
  const [text, setText] = useState(() => sessionStorage.getItem(draftKey) ?? "");
  const [role, setRole] = useState(room.team.entryRole);
  const { roles } = useWorld();
  const area = useRef<HTMLTextAreaElement>(null);
  const target = room.team.roles.some((one) => one.name === role) ? role : room.team.entryRole;
  const status = roles.get(room.chatroomId)?.value?.find((one) => one.role === target);
  const waiters = useLive(api.participants.list, { chatroomId: room.chatroomId });
  const configs = useLive(api.machines.getAgentConfigs, { chatroomId: room.chatroomId });
  const startsOnTask = configs.value?.some((config) => config.role === target && config.startOnTask) ?? false;
  const isAway = status !== undefined && !isActive(status.agent) && !waiters.value?.some((one) => one.role === target && one.waiting);

  useLayoutEffect(() => {
    const element = area.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight + 2, 240)}px`;
    sessionStorage.setItem(draftKey, text);
  }, [text, draftKey]);
  // Where there is a keyboard, one can write at once.
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus({ preventScroll: true });
  }, []);

  const isTooLong = excess(text, LONGEST) > 0;
  const submit = (event: FormEvent | KeyboardEvent): void => {
    event.preventDefault();
    const content = text.trim();
    if (content === "" || isTooLong) return;
    setText("");
    // What could not be sent comes back, unless something else is being written by now.
    onSend(content, target).catch(() => setText((now) => (now === "" ? content : now)));
  };
  return (
    <form className="composer" onSubmit={submit}>
      {isAway && (
        <p className="note">
          <Mark tone="off" /> {awayWords(status, startsOnTask)}
        </p>
      )}
      <Excess text={text} most={LONGEST} />
      <div className="composer-row">
        {room.team.roles.length > 1 && (
          <label className="to">
            <span className="note">to</span>
            <select aria-label="To which role" value={target} onChange={(event) => setRole(event.target.value)}>
              {room.team.roles.map((one) => (
                <option key={one.name} value={one.name}>
                  {exact(one.name)}
                </option>
              ))}
            </select>
          </label>
        )}
        <textarea
          ref={area}
          rows={1}
          value={text}
          dir="auto"
          aria-label={`Message to ${target}`}
          placeholder={`Type a task for ${exact(target)}`}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) submit(event);
            // Out of the text, where the keys of the page work again.
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <Button look="main" type="submit" disabled={text.trim() === "" || isTooLong} title="Enter sends, Shift Enter makes a new line">
          Send
        </Button>
      </div>
    </form>
  );
}
