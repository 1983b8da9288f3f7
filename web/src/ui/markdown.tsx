// Markdown as agents write it, made into elements: never into HTML text, so that nothing that they write can become part of the
// page. A subset: headings, paragraphs, lists, quotes, code, tables, emphasis, links. Links go to http and https only.

import { memo, type ReactNode } from "react";
import { prose } from "../text";

type Block =
  | { kind: "heading"; level: number; text: string }
  | { kind: "text"; text: string }
  | { kind: "code"; language: string; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; start: number | null; items: Block[][] }
  | { kind: "table"; rows: string[][] }
  | { kind: "rule" };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const TABLE_LINE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
/** Deeper than that, what is nested is shown as it is written. */
const MAX_DEPTH = 6;

function parse(lines: string[], depth: number): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    if (line.trim() === "") {
      at += 1;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence) {
      const mark = fence[1] ?? "```";
      const end = lines.findIndex((other, index) => index > at && other.trim().startsWith(mark) && other.trim().replace(/[`~]/g, "") === "");
      const last = end === -1 ? lines.length : end;
      blocks.push({ kind: "code", language: fence[2] ?? "", text: lines.slice(at + 1, last).join("\n") });
      at = last + 1;
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading) {
      blocks.push({ kind: "heading", level: (heading[1] ?? "#").length, text: heading[2] ?? "" });
      at += 1;
      continue;
    }
    if (RULE.test(line)) {
      blocks.push({ kind: "rule" });
      at += 1;
      continue;
    }
    if (depth < MAX_DEPTH && QUOTE.test(line)) {
      const from = at;
      while (at < lines.length && QUOTE.test(lines[at] ?? "")) at += 1;
      blocks.push({ kind: "quote", blocks: parse(lines.slice(from, at).map((one) => one.replace(QUOTE, "")), depth + 1) });
      continue;
    }
    if (line.includes("|") && TABLE_LINE.test(lines[at + 1] ?? "") && (lines[at + 1] ?? "").includes("-")) {
      const rows = [cells(line)];
      at += 2;
      while (at < lines.length && (lines[at] ?? "").includes("|") && (lines[at] ?? "").trim() !== "") rows.push(cells(lines[at++] ?? ""));
      blocks.push({ kind: "table", rows });
      continue;
    }
    const item = ITEM.exec(line);
    if (depth < MAX_DEPTH && item) {
      const isNumbered = /\d/.test(item[2] ?? "");
      const indent = (item[1] ?? "").length;
      const items: string[][] = [];
      const start = isNumbered ? Number.parseInt(item[2] ?? "1", 10) : null;
      while (at < lines.length) {
        const here = lines[at] ?? "";
        const next = ITEM.exec(here);
        if (next && (next[1] ?? "").length <= indent + 1 && /\d/.test(next[2] ?? "") === isNumbered) {
          items.push([next[3] ?? ""]);
        } else if (here.trim() === "") {
          const after = lines[at + 1] ?? "";
          if (after.trim() === "" || (/^\S/.test(after) && !ITEM.test(after))) break;
          items.at(-1)?.push("");
        } else if (next || /^\s+/.test(here)) {
          items.at(-1)?.push(here.replace(/^(\t| {1,4})/, ""));
        } else if (FENCE.test(here) || HEADING.test(here) || QUOTE.test(here)) {
          break;
        } else {
          items.at(-1)?.push(here);
        }
        at += 1;
      }
      blocks.push({ kind: "list", start, items: items.map((one) => parse(one, depth + 1)) });
      continue;
    }
    const from = at;
    at += 1;
    while (at < lines.length) {
      const here = lines[at] ?? "";
      if (here.trim() === "" || FENCE.test(here) || HEADING.test(here) || (depth < MAX_DEPTH && (QUOTE.test(here) || ITEM.test(here)))) break;
      at += 1;
    }
    blocks.push({ kind: "text", text: lines.slice(from, at).join("\n") });
  }
  return blocks;
}

const cells = (line: string): string[] =>
  line
    .trim()
    .replace(/^\||\|$/g, "")
    .split("|")
    .map((cell) => cell.trim());

/** Each alternative is bounded, so that no text makes the search slow. */
const INLINE =
  /(`{1,3})([^`\n]{1,2000}?)\1|\*\*([^*\n]{1,1000}?)\*\*|__([^_\n]{1,1000}?)__|(?<![\w*])\*([^*\s][^*\n]{0,1000}?)\*(?!\w)|(?<![\w_])_([^_\s][^_\n]{0,1000}?)_(?!\w)|~~([^~\n]{1,1000}?)~~|\[([^\]\n]{1,500})\]\(([^()\s]{1,2000})\)|(https?:\/\/[^\s<>"')\]]{1,2000})/g;

export function safeLink(address: string): string | null {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

function Outside({ address, children }: { address: string; children: ReactNode }) {
  const href = safeLink(address);
  // A link that is none stays readable, with where it would have gone.
  if (href === null) return <span>{children} ({address})</span>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow" title={href}>
      {children}
    </a>
  );
}

function inline(text: string, depth = 0): ReactNode[] {
  const parts: ReactNode[] = [];
  let last = 0;
  for (const match of text.matchAll(INLINE)) {
    const index = match.index;
    if (index > last) parts.push(text.slice(last, index));
    last = index + match[0].length;
    const [whole, , code, strong, strong2, soft, soft2, struck, label, address, bare] = match;
    const inner = (part: string): ReactNode => (depth < 4 ? inline(part, depth + 1) : part);
    if (code !== undefined) parts.push(<code key={index}>{code}</code>);
    else if (strong !== undefined || strong2 !== undefined) parts.push(<strong key={index}>{inner(strong ?? strong2 ?? "")}</strong>);
    else if (soft !== undefined || soft2 !== undefined) parts.push(<em key={index}>{inner(soft ?? soft2 ?? "")}</em>);
    else if (struck !== undefined) parts.push(<del key={index}>{inner(struck)}</del>);
    else if (label !== undefined && address !== undefined) parts.push(<Outside key={index} address={address}>{label}</Outside>);
    else if (bare !== undefined) {
      const address = bare.replace(/[.,;:!?]+$/, "");
      parts.push(<Outside key={index} address={address}>{address}</Outside>, bare.slice(address.length));
    } else parts.push(whole);
  }
  if (last < text.length) parts.push(text.slice(last));
  return parts;
}

function draw(blocks: Block[]): ReactNode[] {
  return blocks.map((block, index) => {
    switch (block.kind) {
      case "heading":
        // The page has headings of its own: those of a text stand below them.
        return (
          <p key={index} className={`md-heading md-h${block.level}`}>
            {inline(block.text)}
          </p>
        );
      case "text":
        return (
          <p key={index} dir="auto">
            {inline(block.text)}
          </p>
        );
      case "code":
        return (
          <pre key={index} tabIndex={0} aria-label={block.language ? `code, ${block.language}` : "code"}>
            <code>{block.text}</code>
          </pre>
        );
      case "quote":
        return <blockquote key={index}>{draw(block.blocks)}</blockquote>;
      case "list":
        return block.start === null ? (
          <ul key={index}>{items(block.items)}</ul>
        ) : (
          <ol key={index} start={block.start}>
            {items(block.items)}
          </ol>
        );
      case "table":
        return (
          <div key={index} className="md-table">
            <table>
              <thead>
                <tr>
                  {(block.rows[0] ?? []).map((cell, column) => (
                    <th key={column}>{inline(cell)}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {block.rows.slice(1).map((row, line) => (
                  <tr key={line}>
                    {row.map((cell, column) => (
                      <td key={column}>{inline(cell)}</td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        );
      case "rule":
        return <hr key={index} />;
    }
  });
}

const items = (list: Block[][]): ReactNode[] =>
  list.map((blocks, index) => {
    const only = blocks[0];
    const first = only?.kind === "text" ? inline(only.text) : null;
    return <li key={index}>{first === null ? draw(blocks) : [...first, ...draw(blocks.slice(1))]}</li>;
  });

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return <div className="md">{draw(parse(prose(text).split("\n"), 0))}</div>;
});
