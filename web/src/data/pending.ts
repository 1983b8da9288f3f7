// Types of functions that the generated files do not name yet, written by hand after crates/protocol. To be deleted, with its
// one line in api.ts, as soon as clients/typescript names them.

import { anyApi, type FunctionReference } from "convex/server";
import type * as t from "chatroom-types";

type Agent = t.Agent;
type Trouble = t.Trouble;
export type Desired = {
  running: boolean;
  by: "owner" | "machine" | "task" | "server";
  since: number;
  machineId: string;
  restartAt?: number;
  givenUp?: string;
};
export type BlockedBy =
  | "not_configured"
  | "machine"
  | "tool"
  | "not_started"
  | "ended"
  | "restarting"
  | "passing"
  | "trouble"
  | "permission"
  | "needs_you";
export type Blocked = { by: BlockedBy; message: string; since: number; repair?: string };
export type RoleStatus = { role: string; desired?: Desired; agent?: Agent; blocked?: Blocked };
export type Choice = "allow_once" | "allow_always" | "reject_once" | "reject_always";
export type Decider = "mode" | "rule" | "person" | "expiry";
export type ToolKind = "read" | "edit" | "delete" | "move" | "search" | "execute" | "think" | "fetch" | "other";
export type CallStatus = "pending" | "in_progress" | "completed" | "failed";
export type Diff = { path: string; oldText?: string; newText: string };
export type PlanStep = { content: string; status: CallStatus };
export type PermissionOption = { optionId: string; name: string; kind: Choice };
export type PermissionOutcome = { how: "selected"; choice: Choice; by: Decider } | { how: "withdrawn" };
type ModelList = t.ModelList;
export type PromptSource =
  | { by: "task"; taskId: string; delivery: number }
  | { by: "reminder"; taskId: string; delivery: number }
  | { by: "person"; inputId: string };
export type Entry =
  | { kind: "session_started"; driver: string; sessionId?: string; resumed: boolean; model?: string; models?: ModelList }
  | { kind: "prompt"; source: PromptSource; text: string }
  | { kind: "turn_ended"; reason: "end_turn" | "cancelled" | "refusal" | "limit" | "error"; message?: string }
  | { kind: "text"; text: string }
  | { kind: "thought"; text: string }
  | { kind: "tool_call"; callId: string; title: string; toolKind: ToolKind; command?: string; paths?: string[] }
  | { kind: "tool_update"; callId: string; status?: CallStatus; title?: string; output?: string; diffs?: Diff[] }
  | { kind: "plan"; steps: PlanStep[] }
  | {
      kind: "permission_asked";
      requestId: string;
      callId?: string;
      title: string;
      toolKind: ToolKind;
      command?: string;
      paths?: string[];
      options: PermissionOption[];
    }
  | { kind: "permission_settled"; requestId: string; outcome: PermissionOutcome }
  | { kind: "retrying"; message: string; attempt?: number }
  | { kind: "trouble"; trouble: Trouble }
  | { kind: "compacted" }
  | { kind: "needs_you"; taskId: string; delivery: number }
  | { kind: "input_taken"; inputId: string }
  | { kind: "input_refused"; inputId: string; reason: string }
  | { kind: "output"; text: string }
  | { kind: "dropped"; events: number };
export type TranscriptEvent = { seq: number; at: number } & Entry;
export type TranscriptPage = { events: TranscriptEvent[]; firstSeq: number; lastSeq: number };
export type Permission = {
  permissionId: string;
  agentId: string;
  chatroomId: string;
  role: string;
  machineId: string;
  requestId: string;
  title: string;
  toolKind: ToolKind;
  command?: string;
  paths?: string[];
  options: PermissionOption[];
  askedAt: number;
  expiresAt: number;
} & ({ state: "pending" } | { state: "answered"; choice: Choice; by: Decider; at: number } | { state: "withdrawn"; at: number });
export type RuleMatch = { match: "kind"; toolKind: ToolKind } | { match: "command"; command: string };
export type Rule = {
  ruleId: string;
  chatroomId: string;
  role?: string;
  allow: boolean;
  until?: number;
  createdAt: number;
} & RuleMatch;
export type AgentInput = { inputId: string; agentId: string; createdAt: number } & (
  | { input: "say"; text: string }
  | { input: "cancel" }
  | { input: "answer"; requestId: string; choice: Choice; by: Decider }
) &
  ({ state: "queued" } | { state: "delivered"; at: number } | { state: "refused"; at: number; reason: string });

type Query<A extends Record<string, unknown>, R> = FunctionReference<"query", "public", A, R>;
type Mutation<A extends Record<string, unknown>, R> = FunctionReference<"mutation", "public", A, R>;

export const pending = anyApi as unknown as {
  agents: {
    list: Query<{ chatroomId?: string; machineId?: string; includeEnded?: boolean }, Agent[]>;
    get: Query<{ agentId: string }, Agent>;
    listRoles: Query<{ chatroomId: string }, RoleStatus[]>;
    transcript: Query<{ agentId: string; after?: number; before?: number; limit?: number }, TranscriptPage>;
    send: Mutation<{ agentId: string; text: string; idempotencyKey?: string }, AgentInput>;
    cancelTurn: Mutation<{ agentId: string; idempotencyKey?: string }, AgentInput>;
    listInputs: Query<{ agentId: string }, AgentInput[]>;
  };
  permissions: {
    list: Query<{ chatroomId?: string; agentId?: string; includeEnded?: boolean }, Permission[]>;
    answer: Mutation<{ permissionId: string; choice: Choice; idempotencyKey?: string }, Permission>;
    listRules: Query<{ chatroomId: string }, Rule[]>;
    addRule: Mutation<{ chatroomId: string; role?: string; allow: boolean; until?: number } & RuleMatch, Rule>;
    removeRule: Mutation<{ ruleId: string }, t.Empty>;
  };
};
