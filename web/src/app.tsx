// The frame: who is signed in, where one can go, whether the page is connected, and the view that the address names.

import { Component, type ReactNode, useEffect, useState } from "react";
import { useSession } from "./data/client";
import { type Trouble, useTrouble, useWaitingSince } from "./data/live";
import { useWorld, WorldProvider } from "./data/world";
import { useShortcuts } from "./keys";
import { useNotifications } from "./notify";
import { go, Link, to, usePath } from "./route";
import { ago, clockTime } from "./text";
import { Disabled, Loading, Mark, Name, Problem, useNow } from "./ui/basic";
import { AgentView } from "./views/agent";
import { FirstRun } from "./views/first-run";
import { Inbox } from "./views/inbox";
import { Machines } from "./views/machines";
import { Palette } from "./views/palette";
import { Room } from "./views/room";
import { Rooms } from "./views/rooms";
import { Settings } from "./views/settings";
import { SignedOut } from "./views/signed-out";
import { connectionState, roleState, type Tone } from "./words";

export function App() {
  const session = useSession();
  if (session === "signed_out") return <SignedOut />;
  if (session === "asking") return <Asking />;
  return (
    <WorldProvider>
      <Frame />
    </WorldProvider>
  );
}

/** Says nothing at first: most of the time the answer is there before one could read it. */
function Asking() {
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), 700);
    return () => clearTimeout(timer);
  }, []);
  return <main className="alone">{isSlow && <Loading what="Connecting to the server. It does not answer yet; trying again." />}</main>;
}

const REASONS = {
  lost: "Not connected to the server: nothing can be sent now.",
  silent: "The server does not answer: nothing can be sent now.",
} as const;

function Frame() {
  const world = useWorld();
  const path = usePath();
  const trouble = useTrouble();
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  useShortcuts(() => setPaletteOpen(true));
  useNotifications();
  const reason = trouble === null ? null : REASONS[trouble.kind];
  useEffect(() => {
    document.title = world.inbox.length > 0 ? `(${world.inbox.length}) chatroom` : "chatroom";
  }, [world.inbox.length]);
  return (
    <Disabled.Provider value={reason}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <div className="frame">
        <Sidebar path={path} onSearch={() => setPaletteOpen(true)} />
        <div className="content">
          <TroubleBar trouble={trouble} />
          <Boundary key={path.join("/")}>
            <View path={path} />
          </Boundary>
        </div>
        <nav className="bottom" aria-label="Main">
          <Tab href="/inbox" isHere={path[0] === "inbox" || path.length === 0} label="Inbox" count={world.inbox.length} />
          <Tab href="/rooms" isHere={path[0] === "rooms"} label="Rooms" />
          <Tab href="/machines" isHere={path[0] === "machines"} label="Machines" />
          <Tab href="/settings" isHere={path[0] === "settings"} label="Settings" />
        </nav>
      </div>
      <Palette isOpen={isPaletteOpen} onClose={() => setPaletteOpen(false)} />
    </Disabled.Provider>
  );
}

function View({ path }: { path: string[] }) {
  const world = useWorld();
  const [first, second, third] = path;
  if (world.error) {
    return (
      <main id="main" className="page">
        <Problem error={world.error} />
      </main>
    );
  }
  switch (first) {
    case undefined:
      if (world.rooms === undefined || world.machines === undefined) return <main id="main" className="page" />;
      return world.rooms.length === 0 ? <FirstRun /> : <Inbox />;
    case "start":
      return <FirstRun />;
    case "inbox":
      return <Inbox />;
    case "rooms":
      return second === undefined || second === "new" ? <Rooms isMaking={second === "new"} /> : <Room key={second} chatroomId={second} />;
    case "agents":
      return second === undefined ? <Nowhere /> : <AgentView key={second} agentId={second} />;
    case "machines":
      return <Machines only={second} />;
    case "settings":
      return <Settings />;
    default:
      void third;
      return <Nowhere />;
  }
}

function Nowhere() {
  return (
    <main id="main" className="page">
      <h1>There is no such page</h1>
      <p>
        <Link href="/inbox">Go to the inbox</Link>
      </p>
    </main>
  );
}

function Tab({ href, isHere, label, count = 0 }: { href: string; isHere: boolean; label: string; count?: number }) {
  return (
    <Link href={href} aria-current={isHere ? "page" : undefined} className="tab">
      <span>{label}</span>
      {count > 0 && <span className="count">{count}</span>}
    </Link>
  );
}

/** A room stands as the most urgent of its roles does. */
const MOST_URGENT: Tone[] = ["ask", "bad", "busy", "passing", "good", "off"];

const PALETTE_KEY = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘K" : "Ctrl K";

function Sidebar({ path, onSearch }: { path: string[]; onSearch: () => void }) {
  const { rooms, machines, inbox, unread, roles } = useWorld();
  const now = useNow();
  return (
    <nav className="sidebar" aria-label="Main">
      <div className="brand">
        <Link href="/">chatroom</Link>
        <button type="button" className="button quiet" onClick={onSearch} aria-label={`${PALETTE_KEY} search and commands`} title="Search and commands">
          <kbd>{PALETTE_KEY}</kbd>
        </button>
      </div>
      <Tab href="/inbox" isHere={path[0] === "inbox"} label="Inbox" count={inbox.length} />
      <Tab href="/rooms" isHere={path[0] === "rooms" && path.length === 1} label="Rooms" />
      <ul>
        {(rooms ?? []).map((room) => {
          const statuses = roles.get(room.chatroomId)?.value ?? [];
          const states = statuses.map((status) => roleState(status, machines?.find((machine) => machine.machineId === status.agent?.machineId), now));
          const state = MOST_URGENT.map((tone) => states.find((one) => one.tone === tone)).find((one) => one !== undefined);
          return (
            <li key={room.chatroomId}>
              <Link href={to("rooms", room.chatroomId)} aria-current={path[1] === room.chatroomId ? "page" : undefined} className="tab">
                <Mark tone={state?.tone ?? "off"} label={state?.word ?? "stopped"} />
                <span className="clip">
                  <Name>{room.name}</Name>
                </span>
                {(unread.get(room.chatroomId)?.length ?? 0) > 0 && <span className="count">{unread.get(room.chatroomId)?.length}</span>}
              </Link>
            </li>
          );
        })}
      </ul>
      <Tab href="/machines" isHere={path[0] === "machines" && path.length === 1} label="Machines" />
      <ul>
        {(machines ?? []).map((machine) => {
          const state = connectionState(machine.connection, machine.connectionSince);
          return (
            <li key={machine.machineId}>
              <Link href={to("machines", machine.machineId)} aria-current={path[1] === machine.machineId ? "page" : undefined} className="tab">
                <Mark tone={state.tone} label={state.word} />
                <span className="clip">
                  <Name>{machine.name}</Name>
                </span>
              </Link>
            </li>
          );
        })}
      </ul>
      <span className="grow" />
      <Tab href="/settings" isHere={path[0] === "settings"} label="Settings" />
    </nav>
  );
}

/** The page may lose its connection for a moment without anybody having to know. */
const LOST_SAID_AFTER_MS = 1500;
const SILENCE_SAID_AFTER_MS = 5000;

function TroubleBar({ trouble }: { trouble: Trouble | null }) {
  const now = useNow();
  const waitingSince = useWaitingSince();
  return (
    <div role="status" className="lost-place">
      <TroubleWords trouble={trouble ?? (waitingSince === null ? null : { kind: "silent", since: waitingSince })} now={now} />
    </div>
  );
}

function TroubleWords({ trouble, now }: { trouble: Trouble | null; now: number }) {
  if (trouble === null) return null;
  const lasts = Date.now() - trouble.since;
  if (lasts < (trouble.kind === "lost" ? LOST_SAID_AFTER_MS : SILENCE_SAID_AFTER_MS)) return null;
  return trouble.kind === "lost" ? (
    <p className="lost">Not connected since {clockTime(trouble.since, now)}, trying again. What you see is as of then.</p>
  ) : (
    <p className="lost">
      No answer from the server <span aria-hidden="true">for {ago(lasts)}</span>. What you see may be old.
    </p>
  );
}

/** A view that fails says so; the rest of the page stays. */
class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };
  static getDerivedStateFromError(error: Error) {
    return { error };
  }
  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <main id="main" className="page">
        <h1>This view failed</h1>
        <Problem error={{ message: this.state.error.message, hint: "Load the page again; if it fails again, tell us what stands here." }} />
        <p>
          <button type="button" className="button" onClick={() => go("/inbox")}>
            Go to the inbox
          </button>
        </p>
      </main>
    );
  }
}
