// A room: who is doing what, and what was said.

import { useEffect, useState } from "react";
import { api, type Chatroom } from "../data/api";
import { call, useAct, useLive } from "../data/live";
import { useRoom, useWorld } from "../data/world";
import { go, Link } from "../route";
import { exact, plural } from "../text";
import { Button, Empty, Excess, Field, Loading, Mark, Name, Problem, useNow } from "../ui/basic";
import { Confirm, Dialog, Menu } from "../ui/overlay";
import { canStop, machineOf, roleState, teamWords } from "../words";
import { Artifacts, Backlog, PastAgents, Queue } from "./room-work";
import { Conversation } from "./room-conversation";
import { Team } from "./room-team";

export function Room({ chatroomId }: { chatroomId: string }) {
  const listed = useRoom(chatroomId);
  const { rooms } = useWorld();
  // Archived rooms stand in no list.
  const asked = useLive(api.chatrooms.get, listed === undefined && rooms !== undefined ? { chatroomId } : "skip");
  const room = listed ?? asked.value;
  const [isSideOpen, setSideOpen] = useState(false);
  useEffect(() => {
    const close = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && document.querySelector("[role=dialog], [role=menu]") === null) setSideOpen(false);
    };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, []);
  if (room === undefined) {
    return (
      <main id="main" className="page">
        {asked.error ? (
          <Empty title="There is no such room">
            <p>It may have been another user’s, or never have been.</p>
            <p>
              <Link href="/rooms">Your rooms</Link>
            </p>
          </Empty>
        ) : (
          <Loading what="Reading the room…" />
        )}
      </main>
    );
  }
  return (
    <main id="main" className={isSideOpen ? "room side-open" : "room"}>
      <header className="room-head">
        <h1 className="clip">
          <Name>{room.name}</Name> <span className="note">/ {exact(room.team.name)}</span>
        </h1>
        {room.archivedAt !== undefined && <span className="badge">archived</span>}
        <span className="grow" />
        <Button local className="side-button" aria-expanded={isSideOpen} aria-controls="room-side" onClick={() => setSideOpen(!isSideOpen)}>
          {!isSideOpen && <Urgent room={room} />}
          {isSideOpen ? "Conversation" : "Team and queue"}
        </Button>
        {room.archivedAt === undefined && <RoomMenu room={room} />}
      </header>
      <Conversation room={room} />
      <aside id="room-side" aria-label="Team, queue and backlog">
        {room.archivedAt === undefined ? <Team room={room} /> : <PastAgents room={room} />}
        <Queue room={room} />
        <Backlog room={room} />
        <Artifacts room={room} />
      </aside>
    </main>
  );
}

/** What in the team is not as it should be, while the team is out of sight. */
function Urgent({ room }: { room: Chatroom }) {
  const { roles, machines } = useWorld();
  const now = useNow();
  const states = (roles.get(room.chatroomId)?.value ?? []).map((status) => roleState(status, machines?.find((machine) => machine.machineId === machineOf(status)), now));
  const worst = states.find((state) => state.tone === "ask") ?? states.find((state) => state.tone === "bad");
  return worst ? <Mark tone={worst.tone} label={worst.word} /> : null;
}

function RoomMenu({ room }: { room: Chatroom }) {
  const [open, setOpen] = useState<"archive" | "context" | "team" | null>(null);
  const { roles } = useWorld();
  const act = useAct();
  const close = (): void => {
    act.clear();
    setOpen(null);
  };
  const running = (roles.get(room.chatroomId)?.value ?? []).filter(canStop).length;
  return (
    <>
      <Menu
        label="More about this room"
        items={[
          { label: "Begin a new context…", isLocal: true, onSelect: () => setOpen("context") },
          { label: "Change the team…", isLocal: true, onSelect: () => setOpen("team") },
          { label: "Archive…", isLocal: true, onSelect: () => setOpen("archive"), isDanger: true },
        ]}
      />
      <Confirm
        title="Archive this room?"
        isOpen={open === "archive"}
        onClose={close}
        verb="Archive"
        act={act}
        onConfirm={async () => {
          await call(api.chatrooms.archive, { chatroomId: room.chatroomId });
          go("/rooms");
        }}
      >
        <p>
          It takes no more messages and starts no more agents. {running > 0 ? `${plural(running, "agent")} of it will be stopped, and what they are at ends.` : "No agent of it runs."} What was said stays readable.
        </p>
      </Confirm>
      <Dialog title="Begin a new context" isOpen={open === "context"} onClose={close}>
        <NewContext room={room} onDone={close} />
      </Dialog>
      <Dialog title="Change the team" isOpen={open === "team"} onClose={close}>
        <ChangeTeam room={room} onDone={close} />
      </Dialog>
    </>
  );
}

function NewContext({ room, onDone }: { room: Chatroom; onDone: () => void }) {
  const [title, setTitle] = useState("");
  const [content, setContent] = useState("");
  const act = useAct();
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void act.run(() => call(api.contexts.create, { chatroomId: room.chatroomId, title, content })).then((isDone) => isDone && onDone());
      }}
    >
      <p className="note">What was said before stays here, and is left out of what the roles are given to read.</p>
      <Field label="What it is about" note={<Excess text={title} most={100} />}>
        <input value={title} required onChange={(event) => setTitle(event.target.value)} />
      </Field>
      <Field label="What the roles must know" note={<Excess text={content} most={20_000} />}>
        <textarea rows={5} value={content} required onChange={(event) => setContent(event.target.value)} />
      </Field>
      <Problem error={act.error} />
      <footer>
        <Button look="main" type="submit" act={act}>
          Begin
        </Button>
      </footer>
    </form>
  );
}

function ChangeTeam({ room, onDone }: { room: Chatroom; onDone: () => void }) {
  const teams = useLive(api.teams.list, {});
  const [team, setTeam] = useState(room.team.name);
  const [fate, setFate] = useState<"move" | "cancel">("move");
  const act = useAct();
  const chosen = teams.value?.find((one) => one.name === team);
  const gone = chosen ? room.team.roles.filter((role) => !chosen.roles.some((other) => other.name === role.name)) : [];
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        const args = { chatroomId: room.chatroomId, team, ...(gone.length > 0 ? { removedRoleTasks: fate } : {}) };
        void act.run(() => call(api.chatrooms.updateTeam, args)).then((isDone) => isDone && onDone());
      }}
    >
      <Field label="Team" note={chosen && teamWords(chosen)}>
        <select value={team} onChange={(event) => setTeam(event.target.value)}>
          {(teams.value ?? []).map((one) => (
            <option key={one.name}>{one.name}</option>
          ))}
        </select>
      </Field>
      {gone.length > 0 && (
        <Field label={`Open tasks of ${gone.map((role) => exact(role.name)).join(", ")}`} note="Agents of these roles have to be stopped first.">
          <select value={fate} onChange={(event) => setFate(event.target.value === "cancel" ? "cancel" : "move")}>
            <option value="move">go to {chosen ? exact(chosen.entryRole) : "the entry role"}</option>
            <option value="cancel">are cancelled</option>
          </select>
        </Field>
      )}
      <Problem error={act.error ?? teams.error} />
      <footer>
        <Button look="main" type="submit" act={act}>
          Change
        </Button>
      </footer>
    </form>
  );
}
