// The command palette: go somewhere, start or stop something, by typing a few letters of it.

import { useMemo, useRef, useState } from "react";
import { api } from "../data/api";
import { call, newKey, useAct, useLive, useTrouble } from "../data/live";
import { useWorld } from "../data/world";
import { go, to, usePath } from "../route";
import { exact } from "../text";
import { applyTheme } from "../theme";
import { Problem } from "../ui/basic";
import { Dialog } from "../ui/overlay";
import { canStop, isActive, machineOf } from "../words";

type Command = { label: string; run: () => void | Promise<unknown>; needsServer?: boolean };

export function Palette({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return (
    <Dialog title="Go to or do" isOpen={isOpen} onClose={onClose} className="palette">
      <Body onClose={onClose} />
    </Dialog>
  );
}

function Body({ onClose }: { onClose: () => void }) {
  const { rooms, machines, roles } = useWorld();
  const path = usePath();
  const shownAgent = useLive(api.agents.get, path[0] === "agents" && path[1] !== undefined ? { agentId: path[1] } : "skip");
  const hereId = path[0] === "rooms" ? path[1] : shownAgent.value?.chatroomId;
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const trouble = useTrouble();
  const act = useAct();
  const list = useRef<HTMLUListElement>(null);
  const commands = useMemo((): Command[] => {
    const place = (label: string, path: string): Command => ({ label, run: () => go(path) });
    const others: Command[] = [place("Inbox", "/inbox"), place("Rooms", "/rooms"), place("Machines", "/machines"), place("Settings", "/settings"), place("New room", "/rooms/new"), place("Start a first agent", "/start")];
    // What is about the room in view stands first: what one types is most likely meant for it.
    const here: Command[] = [];
    for (const room of rooms ?? []) {
      const all = room.chatroomId === hereId ? here : others;
      const name = exact(room.name);
      all.push(place(`Room ${name}`, to("rooms", room.chatroomId)));
      all.push(place(`Write to ${name}`, to("rooms", room.chatroomId)));
      for (const status of roles.get(room.chatroomId)?.value ?? []) {
        const agent = status.agent;
        const machineId = machineOf(status);
        const label = `${exact(status.role)} in ${name}`;
        if (agent) all.push(place(`Transcript of ${label}`, to("agents", agent.agentId)));
        if (machineId === undefined) continue;
        const send = (type: "start-agent" | "stop-agent" | "restart-agent") => () =>
          call(api.machines.sendCommand, { machineId, type, payload: { chatroomId: room.chatroomId, role: status.role }, idempotencyKey: newKey() });
        if (canStop(status)) all.push({ label: `Stop ${label}`, run: send("stop-agent"), needsServer: true });
        if (isActive(agent)) {
          all.push({ label: `Restart ${label}`, run: send("restart-agent"), needsServer: true });
        } else all.push({ label: `Start ${label}`, run: send("start-agent"), needsServer: true });
      }
    }
    for (const machine of machines ?? []) others.push(place(`Machine ${exact(machine.name)}`, to("machines", machine.machineId)));
    for (const look of ["light", "dark", "system"] as const) others.push({ label: `Colours: ${look}`, run: () => applyTheme(look) });
    return text === "" ? [...others, ...here] : [...here, ...others];
  }, [rooms, machines, roles, hereId, text === ""]);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = commands.filter((command) => words.every((word) => command.label.toLowerCase().includes(word))).slice(0, 50);
  const at = Math.min(chosen, Math.max(0, found.length - 1));
  const run = (command: Command | undefined): void => {
    if (command === undefined || (command.needsServer && trouble !== null)) return;
    void act.run(async () => command.run()).then((isDone) => isDone && onClose());
  };
  const move = (next: number): void => {
    setChosen(next);
    list.current?.children[next]?.scrollIntoView({ block: "nearest" });
  };
  return (
    <>
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found[at] ? `palette-${at}` : undefined}
        aria-label="Type what you want to go to or do"
        placeholder="Type a few letters"
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") move(Math.min(found.length - 1, at + 1));
          else if (event.key === "ArrowUp") move(Math.max(0, at - 1));
          else if (event.key === "Enter") run(found[at]);
          else return;
          event.preventDefault();
        }}
      />
      <ul id="palette-list" role="listbox" aria-label="What fits" ref={list}>
        {found.map((command, index) => (
          <li
            key={command.label + index}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            aria-disabled={command.needsServer && trouble !== null}
            onPointerMove={() => setChosen(index)}
            onClick={() => run(command)}
          >
            <bdi>{command.label}</bdi>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="note">Nothing fits.</p>}
      <Problem error={act.error} />
    </>
  );
}
