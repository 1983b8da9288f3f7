// What an agent changes in a file, line by line.

import { memo, useMemo } from "react";
import type { Diff } from "../data/api";
import { exact, shortPath } from "../text";

type Line = { kind: "same" | "old" | "new" | "gap"; text: string };

/** A table of more cells is not made: then the whole middle counts as changed. */
const MAX_CELLS = 400_000;
const CONTEXT = 3;

/** Lines that are the same at both ends stay; between them the longest common lines. */
export function diffLines(before: string | undefined, after: string): Line[] {
  const a = before === undefined || before === "" ? [] : before.split("\n");
  const b = after === "" ? [] : after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const lines: Line[] = a.slice(0, head).map((text) => ({ kind: "same", text }));
  lines.push(...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)));
  lines.push(...a.slice(a.length - tail).map((text): Line => ({ kind: "same", text })));
  return fold(lines);
}

function middle(a: string[], b: string[]): Line[] {
  if (a.length * b.length > MAX_CELLS || a.length === 0 || b.length === 0) {
    return [...a.map((text): Line => ({ kind: "old", text })), ...b.map((text): Line => ({ kind: "new", text }))];
  }
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] =
        a[i] === b[j]
          ? (common[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i] ?? "" });
      i += 1;
      j += 1;
    } else if (i < a.length && (j === b.length || (common[(i + 1) * width + j] ?? 0) >= (common[i * width + j + 1] ?? 0))) {
      lines.push({ kind: "old", text: a[i++] ?? "" });
    } else {
      lines.push({ kind: "new", text: b[j++] ?? "" });
    }
  }
  return lines;
}

function fold(lines: Line[]): Line[] {
  const isNear = lines.map(() => false);
  lines.forEach((line, index) => {
    if (line.kind === "same") return;
    for (let near = Math.max(0, index - CONTEXT); near <= Math.min(lines.length - 1, index + CONTEXT); near += 1) isNear[near] = true;
  });
  const folded: Line[] = [];
  lines.forEach((line, index) => {
    if (isNear[index]) folded.push(line);
    else if (folded.at(-1)?.kind !== "gap") folded.push({ kind: "gap", text: "" });
  });
  return folded;
}

const SIGNS = { same: " ", old: "-", new: "+", gap: "⋯" } as const;

export const DiffView = memo(function DiffView({ diff }: { diff: Diff }) {
  const lines = useMemo(() => diffLines(diff.oldText, diff.newText), [diff.oldText, diff.newText]);
  const count = (kind: Line["kind"]): number => lines.filter((line) => line.kind === kind).length;
  return (
    <figure className="diff">
      <figcaption>
        <bdi>{shortPath(diff.path)}</bdi> <span className="plus">+{count("new")}</span> <span className="minus">-{count("old")}</span>
        {diff.oldText === undefined && <span className="note"> new file</span>}
      </figcaption>
      <pre tabIndex={0} aria-label={`Changes of ${diff.path}`}>
        {lines.slice(0, 400).map((line, index) => (
          <span key={index} className={`line ${line.kind}`}>
            <span className="sign">{SIGNS[line.kind]}</span>
            {exact(line.text)}
            {"\n"}
          </span>
        ))}
        {lines.length > 400 && <span className="line gap">{lines.length - 400} more lines</span>}
      </pre>
    </figure>
  );
});
