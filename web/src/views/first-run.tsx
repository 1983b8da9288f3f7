// From nothing to a working agent: what was found, one form, one button.

import { useRef, useState } from "react";
import { api, type Chatroom } from "../data/api";
import { call, newKey, useAct, useLive } from "../data/live";
import { isUsable, useWorld } from "../data/world";
import { go, to } from "../route";
import { exact, excess, plural } from "../text";
import { AgentFields, setUp, startAgent, useAgentChoice, useDirectoryCheck } from "../ui/agent-form";
import { Age, Button, Field, Mark, Name, Problem, Remedy } from "../ui/basic";
import { connectionState, teamWords } from "../words";
import { AddMachine } from "./machines";
import { LONGEST_NAME, RoomNameNote } from "./rooms";

export function FirstRun() {
  const { machines, rooms } = useWorld();
  const teams = useLive(api.teams.list, {});
  const [choice, change, machine] = useAgentChoice({});
  const [typed, setName] = useState<string>();
  const suggested = useRef<string>(undefined);
  if (rooms !== undefined) suggested.current ??= rooms.some((room) => room.name === "first room") ? `room ${rooms.length + 1}` : "first room";
  const name = typed ?? suggested.current ?? "";
  const [team, setTeam] = useState("solo");
  const act = useAct();
  const checkDirectory = useDirectoryCheck();
  const made = useRef<Chatroom | null>(null);
  const found = machine?.availableTools.filter((tool) => isUsable(tool) && tool.name !== "echo") ?? [];
  const others = machine?.availableTools.filter((tool) => !isUsable(tool)) ?? [];
  const chosen = teams.value?.find((one) => one.name === team);
  const isReady = machine !== undefined && choice.tool !== "" && choice.workingDir.startsWith("/") && name.trim() !== "" && excess(name, LONGEST_NAME) === 0;

  const begin = (): void => {
    void act.run(async () => {
      await checkDirectory(machine, choice.workingDir.trim());
      // A second try goes on with the room of the first.
      made.current ??= await call(api.chatrooms.create, { name: name.trim(), team, idempotencyKey: newKey() });
      const room: Chatroom = made.current;
      // Every role gets the same beginning; each can be changed in the room.
      for (const role of room.team.roles) await setUp(room.chatroomId, role.name, choice);
      for (const role of room.team.roles) await startAgent(choice.machineId, room.chatroomId, role.name);
      go(to("rooms", room.chatroomId));
    });
  };
  return (
    <main id="main" className="page narrow">
      <h1>Start a first agent</h1>
      <ol className="steps">
        <li>
          {machine === undefined ? (
            <>
              <h2>
                <Mark tone="passing" /> Waiting for a machine
              </h2>
              <p>Agents run on your machines. On the machine that is to run them:</p>
              <AddMachine />
            </>
          ) : (
            <>
              <h2>
                <Mark tone={connectionState(machine.connection, 0).tone} /> <Name>{machine.name}</Name> is {machine.connection}
              </h2>
              <p className="note">
                since <Age at={machine.connectionSince} /> · {exact(machine.os)} {exact(machine.arch)} · chatroom {exact(machine.cliVersion)}
                {(machines?.length ?? 0) > 1 && ` · ${plural((machines?.length ?? 1) - 1, "other machine")} to choose from below`}
              </p>
            </>
          )}
        </li>
        {machine && (
          <li>
            <h2>
              <Mark tone={found.length > 0 ? "good" : "ask"} /> {found.length > 0 ? `${plural(found.length, "tool")} found` : "No agent tool is ready yet"}
            </h2>
            {found.length > 0 ? (
              <p>{found.map((tool) => `${exact(tool.name)}${"version" in tool ? ` ${exact(tool.version)}` : ""}`).join(" · ")}</p>
            ) : (
              <p>
                You can try everything at once with <b>echo</b>, a built-in agent that answers with what you say. A tool for real work can come later.
              </p>
            )}
            {others.length > 0 && (
              <details>
                <summary>{found.length > 0 ? `${others.length} others` : "How to get a tool"}</summary>
                <ul className="repairs">
                  {others.map((tool) => (
                    <li key={tool.name}>
                      <span>
                        <b>{exact(tool.name)}</b> <span className="note">{tool.status === "missing" ? "not installed" : tool.status.replaceAll("_", " ")}</span>
                      </span>
                      {"repair" in tool && <Remedy text={tool.repair} />}
                    </li>
                  ))}
                </ul>
              </details>
            )}
          </li>
        )}
        {machine && (
          <li>
            <h2>Room and agent</h2>
            <form
              className="stack card"
              onSubmit={(event) => {
                event.preventDefault();
                if (isReady) begin();
              }}
            >
              <div className="two">
                <Field label="Room" note={!act.busy && made.current === null && <RoomNameNote name={name} />}>
                  <input value={name} required onChange={(event) => setName(event.target.value)} />
                </Field>
                <Field label="Team" note={chosen && teamWords(chosen)}>
                  <select value={team} onChange={(event) => setTeam(event.target.value)}>
                    {(teams.value ?? [{ name: "solo" }]).map((one) => (
                      <option key={one.name}>{one.name}</option>
                    ))}
                  </select>
                </Field>
              </div>
              <AgentFields choice={choice} change={change} machine={machine} isFirst />
              <Problem error={act.error} />
              <footer>
                <span className="note">Then you type a task.</span>
                <Button look="main" type="submit" act={act} disabled={!isReady}>
                  Make the room and start {(chosen?.roles.length ?? 1) > 1 ? `${chosen?.roles.length} agents` : "the agent"}
                </Button>
              </footer>
            </form>
          </li>
        )}
      </ol>
    </main>
  );
}
