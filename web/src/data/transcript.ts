// The events of a session, read into what a person looks at: pieces of one saying joined, a call with its updates, a question with its
// answer. Pure.

import type { CallStatus, Diff, PermissionOutcome, PlanStep, ToolKind, TranscriptEvent } from "./api";

export type Row = { key: string; at: number; endAt: number; rev: number } & (
  | { kind: "text" | "thought" | "output"; text: string }
  | {
      kind: "call";
      callId: string;
      title: string;
      toolKind: ToolKind;
      command?: string | undefined;
      paths: string[];
      status: CallStatus;
      output?: string | undefined;
      diffs: Diff[];
    }
  | { kind: "plan"; steps: PlanStep[] }
  | { kind: "asked"; ask: Extract<TranscriptEvent, { kind: "permission_asked" }>; outcome?: PermissionOutcome | undefined }
  | { kind: "note"; entry: TranscriptEvent }
);

/** The text of the task that a brief hands over: the first lines of it that stand behind a bar. Later ones quote what was said before. */
export function taskOf(brief: string): string {
  const lines = brief.split("\n");
  const isText = (line: string): boolean => /^\|( |$)/.test(line);
  const from = lines.findIndex(isText);
  if (from === -1) return "";
  const length = lines.slice(from).findIndex((line) => !isText(line));
  return lines
    .slice(from, length === -1 ? undefined : from + length)
    .map((line) => line.slice(2))
    .join("\n");
}

const JOINED = new Set(["text", "thought", "output"]);

export function readTranscript(events: readonly TranscriptEvent[]): Row[] {
  const rows: Row[] = [];
  const calls = new Map<string, Extract<Row, { kind: "call" }>>();
  const asks = new Map<string, Extract<Row, { kind: "asked" }>>();
  let plan: Extract<Row, { kind: "plan" }> | undefined;
  const touch = (row: Row, at: number): void => {
    row.rev += 1;
    row.endAt = at;
  };
  for (const event of events) {
    const base = { key: String(event.seq), at: event.at, endAt: event.at, rev: 0 };
    const last = rows.at(-1);
    switch (event.kind) {
      case "text":
      case "thought":
      case "output":
        if (last?.kind === event.kind && JOINED.has(event.kind)) {
          last.text += event.text;
          touch(last, event.at);
        } else rows.push({ ...base, kind: event.kind, text: event.text });
        break;
      case "tool_call": {
        const row = {
          ...base,
          kind: "call" as const,
          callId: event.callId,
          title: event.title,
          toolKind: event.toolKind,
          command: event.command,
          paths: event.paths ?? [],
          status: "pending" as CallStatus,
          diffs: [],
        };
        calls.set(event.callId, row);
        rows.push(row);
        break;
      }
      case "tool_update": {
        const row = calls.get(event.callId);
        // Its beginning may be on an earlier page, or may have been dropped.
        if (row === undefined) break;
        row.status = event.status ?? row.status;
        row.title = event.title ?? row.title;
        row.output = event.output ?? row.output;
        if (event.diffs && event.diffs.length > 0) row.diffs = event.diffs;
        touch(row, event.at);
        break;
      }
      case "plan":
        if (plan) {
          plan.steps = event.steps;
          touch(plan, event.at);
        } else {
          plan = { ...base, kind: "plan", steps: event.steps };
          rows.push(plan);
        }
        break;
      case "permission_asked": {
        const row = { ...base, kind: "asked" as const, ask: event };
        asks.set(event.requestId, row);
        rows.push(row);
        break;
      }
      case "permission_settled": {
        const row = asks.get(event.requestId);
        if (row === undefined) break;
        row.outcome = event.outcome;
        touch(row, event.at);
        break;
      }
      case "input_taken":
        break;
      case "prompt":
        // A plan belongs to a turn.
        plan = undefined;
        rows.push({ ...base, kind: "note", entry: event });
        break;
      default:
        rows.push({ ...base, kind: "note", entry: event });
    }
  }
  return rows;
}
