// A long ordered list of the server, read in pages and followed live: a conversation or a transcript. The newest page comes first;
// what follows is subscribed to with a cursor, and anew with a higher one as pages fill, so that each answer stays small.

import type { FunctionReference } from "convex/server";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { client } from "./client";
import { type Refused, refusal } from "./live";

export type FeedSource<T, A> = {
  query: FunctionReference<"query">;
  args: Record<string, unknown>;
  items: (answer: A) => T[];
  seq: (item: T) => number;
  /** The number of the oldest item that exists, when the answer tells. */
  first?: (answer: A) => number;
  /** Whether items change after they were written; then full pages stay subscribed to. */
  changes: boolean;
};

export type FeedState<T> = {
  /** In order. */
  items: readonly T[];
  isLoading: boolean;
  hasEarlier: boolean;
  isLoadingEarlier: boolean;
  error?: Refused;
};

const NEWEST = 100;
const PAGE = 200;

class Feed<T, A> {
  private bySeq = new Map<number, T>();
  private ends = new Set<() => void>();
  private listeners = new Set<() => void>();
  private isPublishing = false;
  private life = 0;
  state: FeedState<T> = { items: [], isLoading: true, hasEarlier: false, isLoadingEarlier: false };

  constructor(private source: FeedSource<T, A>) {}

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  start(): void {
    void this.ask({ limit: NEWEST }, (items) => {
      const [first, last] = [items[0], items.at(-1)];
      const from = this.source.changes ? first && this.source.seq(first) - 1 : last && this.source.seq(last);
      this.followAfter(from ?? 0);
    });
  }

  stop(): void {
    this.life += 1;
    this.ends.forEach((end) => end());
    this.ends.clear();
  }

  loadEarlier = (): void => {
    const first = this.state.items[0];
    if (first === undefined || this.state.isLoadingEarlier || !this.state.hasEarlier) return;
    const page = { before: this.source.seq(first), limit: PAGE };
    this.set({ isLoadingEarlier: true });
    void this.ask(page, () => {
      if (this.source.changes) this.follow(page, () => false);
    });
  };

  /** Asks once. */
  private async ask(page: Record<string, unknown>, then: (items: T[]) => void): Promise<void> {
    const life = this.life;
    try {
      const answer = (await client.query(this.source.query as never, { ...this.source.args, ...page } as never)) as A;
      if (life !== this.life) return;
      const items = this.source.items(answer);
      items.forEach((item) => this.bySeq.set(this.source.seq(item), item));
      const oldest = Math.max(1, this.source.first?.(answer) ?? 1);
      const hasEarlier = items[0] !== undefined && this.source.seq(items[0]) > oldest;
      this.publish({ isLoading: false, isLoadingEarlier: false, hasEarlier });
      then(items);
    } catch (error) {
      if (life === this.life) this.set({ error: refusal(error), isLoading: false, isLoadingEarlier: false });
    }
  }

  private followAfter(after: number): void {
    let hasNext = false;
    this.follow({ after, limit: PAGE }, (items) => {
      const last = items.at(-1);
      if (!hasNext && last !== undefined && items.length >= PAGE / 2) {
        hasNext = true;
        this.followAfter(this.source.seq(last));
      }
      return hasNext && !this.source.changes;
    });
  }

  /** Follows a page until `isDone` says so. */
  private follow(page: Record<string, unknown>, isDone: (items: T[]) => boolean): void {
    const watch = client.watchQuery(this.source.query as never, { ...this.source.args, ...page } as never);
    const read = (): void => {
      try {
        const answer = watch.localQueryResult() as A | undefined;
        if (answer === undefined) return;
        const items = this.source.items(answer);
        items.forEach((item) => this.bySeq.set(this.source.seq(item), item));
        this.publish({});
        if (isDone(items)) end();
      } catch (error) {
        this.set({ error: refusal(error) });
      }
    };
    const unsubscribe = watch.onUpdate(read);
    const end = (): void => {
      this.ends.delete(end);
      unsubscribe();
    };
    this.ends.add(end);
    read();
  }

  /** Many answers in one turn of the event loop make one new list. */
  private publish(change: Partial<FeedState<T>>): void {
    Object.assign(this.state, change);
    if (this.isPublishing) return;
    this.isPublishing = true;
    queueMicrotask(() => {
      this.isPublishing = false;
      this.set({ items: [...this.bySeq.entries()].sort((a, b) => a[0] - b[0]).map(([, item]) => item) });
    });
  }

  private set(change: Partial<FeedState<T>>): void {
    this.state = { ...this.state, ...change };
    this.listeners.forEach((listener) => listener());
  }
}

/** Follows a list; another key is another list. */
export function useFeed<T, A>(key: string, source: () => FeedSource<T, A>): FeedState<T> & { loadEarlier: () => void } {
  const feed = useMemo(() => new Feed(source()), [key]);
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, [feed]);
  const state = useSyncExternalStore(feed.subscribe, () => feed.state);
  return { ...state, loadEarlier: feed.loadEarlier };
}
