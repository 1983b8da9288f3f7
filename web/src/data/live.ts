// Live queries and actions, with their failures as values: a query that is refused leaves the rest of the page alone.

import { useConvexConnectionState, useQueries } from "convex/react";
import type { FunctionArgs, FunctionReference, FunctionReturnType } from "convex/server";
import { ConvexError } from "convex/values";
import { useCallback, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { client } from "./client";
import { serverSilentSince, useServerSilentSince } from "./liveness";

export type Refused = { message: string; hint?: string; code?: string };
export type Live<T> = { value?: T; error?: Refused };

/** What went wrong, in the server's words where it said any. */
export function refusal(error: unknown): Refused {
  const data: unknown = error instanceof ConvexError ? error.data : (error as { data?: unknown } | null)?.data;
  if (typeof data === "object" && data !== null && "message" in data && typeof data.message === "string") {
    const { message, hint, code } = data as { message: string; hint?: string | null; code?: string };
    return { message, ...(hint ? { hint } : {}), ...(code ? { code } : {}) };
  }
  return { message: error instanceof Error ? error.message : String(error) };
}

type Query = FunctionReference<"query">;

/** Follows one query. While its arguments change, the last answer for other arguments is not shown. */
export function useLive<Q extends Query>(query: Q, args: FunctionArgs<Q> | "skip"): Live<FunctionReturnType<Q>> {
  const key = JSON.stringify(args);
  // The key stands for the arguments, the query of a call site never changes.
  const queries = useMemo(() => (args === "skip" ? {} : { it: { query, args } }), [key]);
  const answer: unknown = useQueries(queries as never)["it"];
  return useMemo(() => read(answer), [answer]);
}

/** Follows the same query for many ids. */
export function useLiveEach<Q extends Query>(
  query: Q,
  ids: readonly string[],
  args: (id: string) => FunctionArgs<Q>,
): Map<string, Live<FunctionReturnType<Q>>> {
  const key = ids.join(" ");
  const queries = useMemo(() => Object.fromEntries(ids.map((id) => [id, { query, args: args(id) }])), [key]);
  const answers: Record<string, unknown> = useQueries(queries as never);
  const cache = useRef(new Map<string, { answer: unknown; live: Live<FunctionReturnType<Q>> }>());
  return useMemo(() => {
    const next = new Map<string, { answer: unknown; live: Live<FunctionReturnType<Q>> }>();
    for (const id of ids) {
      const before = cache.current.get(id);
      next.set(id, before && before.answer === answers[id] ? before : { answer: answers[id], live: read(answers[id]) });
    }
    cache.current = next;
    return new Map([...next].map(([id, entry]) => [id, entry.live]));
  }, [key, answers]);
}

function read<T>(answer: unknown): Live<T> {
  if (answer === undefined) return {};
  return answer instanceof Error ? { error: refusal(answer) } : { value: answer as T };
}

export type Act = {
  /** Whether it is on its way. */
  busy: boolean;
  error?: Refused;
  run: (what: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
};

/** One action at a time, with what became of it. */
export function useAct(): Act {
  const [state, setState] = useState<{ busy: boolean; error?: Refused }>({ busy: false });
  const running = useRef(false);
  const run = useCallback(async (what: () => Promise<unknown>) => {
    if (running.current) return false;
    running.current = true;
    setState({ busy: true });
    try {
      await what();
      setState({ busy: false });
      return true;
    } catch (error) {
      setState({ busy: false, error: refusal(error) });
      return false;
    } finally {
      running.current = false;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: false }), []);
  return { ...state, run, clear };
}

/** Calls a mutation; a key makes a repeated call take effect once. What cannot be sent now is not kept for later: it is refused. */
export async function call<M extends FunctionReference<"mutation">>(mutation: M, args: FunctionArgs<M>): Promise<FunctionReturnType<M>> {
  if (lostAt !== null) throw new Error("not connected to the server: nothing was sent");
  if (serverSilentSince() !== null) throw new Error("the server does not answer: nothing was sent");
  return client.mutation(mutation as never, args as never) as Promise<FunctionReturnType<M>>;
}

/** Random, also where the browser gives no `randomUUID`: on plain http to another machine. */
export const newKey = (): string => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

let lostAt: number | null = null;

/** Since when the page is not connected; null while it is. */
function useLostSince(): number | null {
  const state = useConvexConnectionState();
  const isOnline = useSyncExternalStore(
    (listener) => {
      addEventListener("online", listener);
      addEventListener("offline", listener);
      return () => {
        removeEventListener("online", listener);
        removeEventListener("offline", listener);
      };
    },
    () => navigator.onLine,
  );
  if (state.isWebSocketConnected && isOnline) lostAt = null;
  else lostAt ??= Date.now();
  return lostAt;
}

export type Trouble = { kind: "lost" | "silent"; since: number };

/** What keeps this page from hearing of what happens, if anything. */
export function useTrouble(): Trouble | null {
  const lostSince = useLostSince();
  const silentSince = useServerSilentSince();
  if (lostSince !== null) return { kind: "lost", since: lostSince };
  return silentSince === null ? null : { kind: "silent", since: silentSince };
}

/** Since when the oldest of what this page sent waits for its answer. */
export function useWaitingSince(): number | null {
  return useConvexConnectionState().timeOfOldestInflightRequest?.getTime() ?? null;
}
