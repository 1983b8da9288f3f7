// The rooms, and how a new one is made.

import { useMemo, useState } from "react";
import { api, type Chatroom } from "../data/api";
import { call, newKey, useAct, useLive, useLiveEach } from "../data/live";
import { useWorld } from "../data/world";
import { go, Link, to } from "../route";
import { exact, excess } from "../text";
import { Age, Button, Empty, Excess, Field, Loading, Name, Problem, StateLabel, useNow } from "../ui/basic";
import { Dialog } from "../ui/overlay";
import { roleState, teamWords } from "../words";

export function Rooms({ isMaking }: { isMaking: boolean }) {
  const { rooms, roles, unread, machines } = useWorld();
  const now = useNow();
  return (
    <main id="main" className="page">
      <header className="page-head">
        <h1>Rooms</h1>
        <Button look="main" onClick={() => go("/rooms/new")}>
          New room
        </Button>
      </header>
      {rooms === undefined && <Loading what="Reading your rooms…" />}
      {rooms?.length === 0 && (
        <Empty title="No rooms yet">
          <p>In a room you and your agents work on something: you write a task, a role takes it, hands it on, and it comes back to you.</p>
          <p>
            <Link className="button main" href="/start">
              Start a first agent
            </Link>
          </p>
        </Empty>
      )}
      <ul className="rows">
        {rooms?.map((room) => (
          <li key={room.chatroomId}>
            <Link href={to("rooms", room.chatroomId)} className="row-link">
              <b className="clip">
                <Name>{room.name}</Name>
              </b>
              <span className="note">{room.team.name}</span>
              {(unread.get(room.chatroomId)?.length ?? 0) > 0 && <span className="count">{unread.get(room.chatroomId)?.length} new</span>}
              <span className="row-states">
                {roles.get(room.chatroomId)?.value?.map((status) => (
                  <span key={status.role} className="role-state">
                    <Name>{status.role}</Name>
                    <StateLabel brief state={roleState(status, machines?.find((machine) => machine.machineId === status.agent?.machineId), now)} />
                  </span>
                ))}
              </span>
            </Link>
          </li>
        ))}
      </ul>
      <Archived />
      <NewRoom isOpen={isMaking} onClose={() => go("/rooms", true)} />
    </main>
  );
}

/** What is to be said of a new room's name. */
export function RoomNameNote({ name }: { name: string }) {
  const { rooms } = useWorld();
  const isTaken = rooms?.some((room) => room.name.trim().toLowerCase() === name.trim().toLowerCase());
  return isTaken ? <>There is a room of this name already.</> : <Excess text={name} most={LONGEST_NAME} />;
}

/** Archived rooms, found by the agents that worked in them: the list of rooms leaves them out. */
function Archived() {
  const { rooms } = useWorld();
  const [isOpen, setOpen] = useState(false);
  const agents = useLive(api.agents.list, isOpen ? { includeEnded: true } : "skip");
  const ids = useMemo(
    () => [...new Set((agents.value ?? []).map((agent) => agent.chatroomId))].filter((id) => !rooms?.some((room) => room.chatroomId === id)),
    [agents.value, rooms],
  );
  const found = useLiveEach(api.chatrooms.get, ids, (chatroomId) => ({ chatroomId }));
  const archived = ids.flatMap((id) => found.get(id)?.value ?? []);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Archived rooms</summary>
      <Problem error={agents.error} />
      {agents.value !== undefined && ids.length === 0 && <p className="note">No archived room in which an agent worked.</p>}
      <ul className="rows">
        {archived.map((room) => (
          <li key={room.chatroomId}>
            <Link href={to("rooms", room.chatroomId)} className="row-link">
              <b className="clip">
                <Name>{room.name}</Name>
              </b>
              <span className="note">{exact(room.team.name)}</span>
              {room.archivedAt !== undefined && (
                <span className="row-states note">
                  archived <Age at={room.archivedAt} suffix=" ago" />
                </span>
              )}
            </Link>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** So many characters the name of a room may have. */
export const LONGEST_NAME = 100;

export function NewRoom({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const teams = useLive(api.teams.list, isOpen ? {} : "skip");
  const [name, setName] = useState("");
  const [team, setTeam] = useState("solo");
  const act = useAct();
  const chosen = teams.value?.find((one) => one.name === team);
  return (
    <Dialog title="New room" isOpen={isOpen} onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void act.run(async () => {
            const room: Chatroom = await call(api.chatrooms.create, { name: name.trim(), team, idempotencyKey: newKey() });
            go(to("rooms", room.chatroomId), true);
          });
        }}
      >
        <Field label="Name" note={!act.busy && <RoomNameNote name={name} />}>
          <input value={name} required autoFocus placeholder="What it is about" onChange={(event) => setName(event.target.value)} />
        </Field>
        <Field label="Team" note={chosen && teamWords(chosen)}>
          <select value={team} onChange={(event) => setTeam(event.target.value)}>
            {(teams.value ?? []).map((one) => (
              <option key={one.name} value={one.name}>
                {exact(one.name)} ({one.roles.length} {one.roles.length === 1 ? "role" : "roles"})
              </option>
            ))}
          </select>
        </Field>
        <Problem error={act.error ?? teams.error} />
        <footer>
          <Button look="main" type="submit" act={act} disabled={name.trim() === "" || excess(name, LONGEST_NAME) > 0}>
            Make room
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
