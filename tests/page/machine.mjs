// A machine played by the test: it registers, is connected, takes commands, and says what its agents do. What it says is the test's
// to choose, so that the page can be shown everything that a tool may ever say.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";

export async function call(url, token, name, args) {
  const response = await fetch(`${url}/api/run/${name.replace(".", "/")}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token === "" ? {} : { Authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ args }),
  });
  const answer = await response.json();
  assert.equal(answer.status, "success", `${name}: ${JSON.stringify(answer)}`);
  return answer.value;
}

export class Machine {
  /** Registers a machine for the user of this token, and connects it. */
  static async connect(url, token, about) {
    const machine = new Machine();
    machine.url = url;
    machine.id = randomUUID();
    const registered = await call(url, token, "machines.register", {
      machineId: machine.id,
      hostname: "desktop",
      os: "linux",
      arch: "x86_64",
      cliVersion: "0.1.0",
      cliPath: "/home/ada/.cargo/bin/chatroom",
      availableTools: [],
      ...about,
      issueCredential: true,
    });
    machine.credential = registered.credential;
    machine.agents = new Map();
    machine.seqs = new Map();
    machine.heard = new Set();
    await machine.open();
    return machine;
  }

  call(name, args) {
    return call(this.url, this.credential, name, { machineId: this.id, ...args });
  }

  report() {
    return [...this.agents].map(([agentId, pid]) => ({ agentId, fact: "running", pid, startedAt: Date.now() }));
  }

  async open() {
    const session = { sessionId: randomUUID(), bootId: "boot", agents: this.report() };
    this.epoch = (await this.call("machines.openDaemonSession", session)).epoch;
    this.client = new ConvexClient(this.url, { logger: false, unsavedChangesWarning: false });
    this.client.setAuth(async () => this.credential);
    await new Promise((resolve) => {
      this.client.onUpdate(api.machines.getPendingCommands, { machineId: this.id, epoch: this.epoch }, (pending) => {
        resolve();
        if (pending.session === "current") for (const command of pending.commands) void this.take(command).catch(console.error);
      });
    });
    this.client.onUpdate(api.agents.getInbox, { machineId: this.id, epoch: this.epoch }, (inbox) => {
      if (inbox.session === "current") for (const input of inbox.inputs) void this.hear(input).catch(console.error);
    });
  }

  async close() {
    await this.client.close();
  }

  async take(command) {
    const about = { epoch: this.epoch, commandId: command.commandId };
    const claimed = await this.call("machines.ackCommand", { ...about, status: "processing" });
    if (claimed.outcome !== "applied") return;
    const done = (result) => this.call("machines.ackCommand", { ...about, status: "completed", result });
    const order = claimed.order;
    switch (command.type) {
      case "start-agent": {
        const pid = 4711 + this.agents.size;
        this.agents.set(order.agentId, pid);
        await done({ kind: "started", agentId: order.agentId, pid });
        await this.say(order.agentId, { kind: "session_started", driver: "acp", sessionId: `session-${pid}`, resumed: false, model: "sonnet" });
        break;
      }
      case "stop-agent":
        this.agents.delete(order.agentId);
        await done(order.agentId === null ? { kind: "not_running" } : { kind: "stopped", agentId: order.agentId, exit: { how: "stopped" } });
        break;
      case "list-models":
        await done({ kind: "models", models: [{ id: "sonnet", name: "Sonnet" }], isComplete: false });
        break;
      case "check-dir":
        await this.call("machines.ackCommand", {
          ...about,
          status: "failed",
          failure: { code: "working_dir_missing", message: `there is no directory ${command.payload.path}`, hint: "make it, or choose another one" },
        });
        break;
      default:
        await done({ kind: "pong" });
    }
  }

  /** What the owner sends into a session reaches it at once. */
  async hear({ inputId, agentId, ...input }) {
    // It stands in the inbox until the server knows that it was taken.
    if (this.heard.has(inputId)) return;
    this.heard.add(inputId);
    if (input.input === "say") {
      await this.say(agentId, { kind: "input_taken", inputId }, { kind: "prompt", source: { by: "person", inputId }, text: input.text });
    } else if (input.input === "answer") {
      const outcome = { how: "selected", choice: input.choice, by: input.by };
      await this.say(agentId, { kind: "input_taken", inputId }, { kind: "permission_settled", requestId: input.requestId, outcome });
    } else {
      await this.say(agentId, { kind: "input_taken", inputId }, { kind: "turn_ended", reason: "cancelled" });
    }
  }

  /** An agent has ended. */
  async end(agentId, exit) {
    this.agents.delete(agentId);
    await this.call("agents.reportExited", { agents: [{ agentId, fact: "exited", exit, exitedAt: Date.now() }] });
  }

  /** Adds to the transcript of an agent. */
  async say(agentId, ...entries) {
    for (let at = 0; at < entries.length; at += 400) {
      const events = entries.slice(at, at + 400).map((entry) => {
        const seq = (this.seqs.get(agentId) ?? 0) + 1;
        this.seqs.set(agentId, seq);
        return { seq, at: Date.now(), ...entry };
      });
      await this.call("agents.appendTranscript", { agentId, events });
    }
  }
}
