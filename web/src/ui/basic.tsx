// Small parts that every view uses.

import { type ButtonHTMLAttributes, createContext, type ReactNode, useContext, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { serverNow } from "../data/client";
import type { Act, Refused } from "../data/live";
import { ago, exact, exactTime, excess, plural, sentence } from "../text";
import type { State, Tone } from "../words";

let now = serverNow();
const tickers = new Set<() => void>();
setInterval(() => {
  now = serverNow();
  tickers.forEach((tick) => tick());
}, 1000);

/** Now, to the second. */
export function useNow(): number {
  return useSyncExternalStore(
    (tick) => {
      tickers.add(tick);
      return () => tickers.delete(tick);
    },
    () => now,
  );
}

/** How long ago; exact to whoever asks. */
export function Age({ at, suffix = "" }: { at: number; suffix?: string }) {
  const age = ago(useNow() - at);
  return (
    <time className="age" dateTime={new Date(at).toISOString()} title={exactTime(at)}>
      {age}
      {suffix}
    </time>
  );
}

const SHAPES: Record<Tone, ReactNode> = {
  good: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  busy: (
    <>
      <circle cx="6" cy="6" r="4.5" fill="none" stroke="currentColor" strokeWidth="1.6" />
      <path d="M6 1.5a4.5 4.5 0 0 1 0 9z" fill="currentColor" />
    </>
  ),
  ask: <path d="M6 .8 11.4 10.6H.6z" fill="currentColor" />,
  bad: <path d="m2 2 8 8m0-8-8 8" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" />,
  off: <rect x="2" y="2" width="8" height="8" rx="1.5" fill="none" stroke="currentColor" strokeWidth="1.6" />,
  passing: <circle cx="6" cy="6" r="4.4" fill="none" stroke="currentColor" strokeWidth="1.7" strokeDasharray="2.4 2.2" />,
};

export function Mark({ tone, label }: { tone: Tone; label?: string }) {
  return (
    <svg className={`mark tone-${tone}`} viewBox="0 0 12 12" width="12" height="12" {...(label ? { role: "img", "aria-label": label } : { "aria-hidden": true })}>
      {SHAPES[tone]}
    </svg>
  );
}

/** A state with its shape, its word and its age; what it is known by opens on demand. */
export function StateLabel({ state, brief = false }: { state: State; brief?: boolean }) {
  return (
    <span className={`state tone-${state.tone}`} title={state.evidence}>
      <Mark tone={state.tone} />
      <span className="state-word">{state.word}</span>
      {!brief && state.since !== undefined && <Age at={state.since} />}
    </span>
  );
}

/** Text of others that is decided upon: nothing hidden, kept apart from the direction of what stands beside it. */
export const Name = ({ children }: { children: string }) => <bdi className="name">{exact(children)}</bdi>;

/** Why nothing can be done now; empty while everything can. */
export const Disabled = createContext<string | null>(null);

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  look?: "plain" | "main" | "danger" | "quiet";
  act?: Act;
  /** Works without the server. */
  local?: boolean;
};

export function Button({ look = "plain", act, local = false, disabled, className = "", title, ...rest }: ButtonProps) {
  const reason = useContext(Disabled);
  const isOff = !local && reason !== null;
  return (
    <button
      type="button"
      className={`button ${look} ${className}`}
      disabled={disabled || act?.busy || isOff}
      aria-busy={act?.busy || undefined}
      title={isOff ? reason : title}
      {...rest}
    />
  );
}

export function Problem({ error }: { error: Refused | undefined }) {
  if (error === undefined) return null;
  return (
    <p className="problem" role="alert">
      <Mark tone="bad" /> <span>{exact(sentence(error.message))}</span>
      {error.hint && <span className="hint"> {exact(sentence(error.hint))}</span>}
    </p>
  );
}

/** A command to copy. */
export function Copyable({ text, label = "Copy" }: { text: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  const code = useRef<HTMLElement>(null);
  const copy = (): void => {
    // On plain http to another machine there is no clipboard for pages: the text is selected instead.
    if (navigator.clipboard === undefined) {
      if (code.current) getSelection()?.selectAllChildren(code.current);
    } else void navigator.clipboard.writeText(text).then(() => setCopied(true), () => undefined);
  };
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <span className="copyable">
      <code ref={code}>{exact(text)}</code>
      <Button
        look="quiet"
        local
        aria-label={`${label}: ${text}`}
        onClick={copy}
      >
        {isCopied ? "Copied" : label}
      </Button>
    </span>
  );
}

/** A command to copy, or a page to read. */
export function Remedy({ text }: { text: string }) {
  const page = /^see (https?:\/\/\S+)$/.exec(text)?.[1];
  if (page === undefined) return <Copyable text={text} />;
  return (
    <a href={page} target="_blank" rel="noopener noreferrer nofollow">
      {exact(page)}
    </a>
  );
}

/** What mends a trouble. */
export function Repair({ text }: { text: string }) {
  return (
    <span className="repair">
      <span className="label">Repair</span> <Remedy text={text} />
    </span>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Field({ label, note, children }: { label: string; note?: ReactNode; children: ReactNode }) {
  return (
    <label className="field">
      <span className="label">{label}</span>
      {children}
      {note && <span className="note">{note}</span>}
    </label>
  );
}

/** Says how many characters of a text are too many. Nothing is cut off by itself. */
export function Excess({ text, most }: { text: string; most: number }) {
  const count = excess(text, most);
  return (
    <span role="status" className="excess">
      {count > 0 && (
        <>
          <Mark tone="bad" /> {plural(count, "character")} too many: at most {most.toLocaleString()} are taken.
        </>
      )}
    </span>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p className="loading" role="status">
      {what}
    </p>
  );
}
