// What a page writes with the generated types: it must type-check, and what is wrong must not.
import { ConvexReactClient, useMutation, useQuery } from "convex/react";
import { ConvexHttpClient } from "convex/browser";
import { api } from "./api";
import type { Agent, Machine, PermissionMode } from "./types";

export const client = new ConvexReactClient("http://127.0.0.1:7420");

function AgentLine({ agent }: { agent: Agent }) {
  switch (agent.state) {
    case "running":
      return <li>{`${agent.role} runs as ${agent.pid.toFixed()}`}</li>;
    case "failed":
      return <li>{agent.reason}</li>;
    default:
      return <li>{agent.state}</li>;
  }
}

export function Machines() {
  const machines: Machine[] | undefined = useQuery(api.machines.listMachines, {});
  const configs = useQuery(api.machines.getAgentConfigs, machines ? { chatroomId: "room" } : "skip");
  const mode: PermissionMode | undefined = configs?.[0]?.permissionMode;
  const start = useMutation(api.machines.sendCommand);
  return (
    <ul>
      <li>{mode}</li>
      {machines?.map((machine) => (
        <li key={machine.machineId}>
          {machine.name} {machine.connection === "connected" ? "on" : "off"}
          {machine.availableTools.map((tool) => (tool.status === "ok" ? tool.version : tool.repair))}
          <ul>
            {machine.agents.map((agent) => (
              <AgentLine key={agent.agentId} agent={agent} />
            ))}
          </ul>
          <button
            onClick={() =>
              start({
                machineId: machine.machineId,
                type: "start-agent",
                payload: { chatroomId: "room", role: "builder" },
                idempotencyKey: "one",
              })
            }
          >
            start
          </button>
        </li>
      ))}
    </ul>
  );
}

export async function wrong(http: ConvexHttpClient) {
  // @ts-expect-error: no such function
  await http.query(api.machines.list, {});
  // @ts-expect-error: the argument is missing
  await http.query(api.chatrooms.get, {});
  // @ts-expect-error: an argument that the function does not have
  await http.query(api.machines.listMachines, { all: true });
  // @ts-expect-error: a mutation is no query
  await http.query(api.chatrooms.create, { name: "x", team: "solo" });
  // @ts-expect-error: no such command
  await http.mutation(api.machines.sendCommand, { machineId: "m", type: "run-shell", payload: {} });
  const team = await http.query(api.teams.get, { name: "solo" });
  // @ts-expect-error: no such field
  return team.roles[0]?.prompt;
}
