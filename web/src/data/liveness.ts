// Whether the server answers. A connection stays open when the other side is frozen or the way to it is cut, and the client of the
// live channel waits a minute before it doubts; so while the page is looked at, a small question is asked every few seconds.

import { useSyncExternalStore } from "react";
import { client } from "./client";

const EVERY_MS = 3000;
/** So long an answer may take. */
const PATIENCE_MS = 5000;

let silentSince: number | null = null;
const listeners = new Set<() => void>();

function become(next: number | null): void {
  if (next === silentSince) return;
  silentSince = next;
  listeners.forEach((listener) => listener());
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) })).ok;
  } catch {
    return false;
  }
}

/** Since when the server has not answered, while a connection to it stands; null while it answers. */
export const serverSilentSince = (): number | null => silentSince;

async function look(): Promise<void> {
  if (document.visibilityState === "visible") {
    const askedAt = Date.now();
    const isThere = await answers();
    // A page whose connection is lost says so by itself; one that slept meanwhile cannot tell.
    if (isThere || !client.connectionState().isWebSocketConnected) become(null);
    else if (Date.now() - askedAt < 2 * PATIENCE_MS) become(silentSince ?? askedAt);
  }
  setTimeout(() => void look(), EVERY_MS);
}

export function startLooking(): void {
  void look();
}

export function useServerSilentSince(): number | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    serverSilentSince,
  );
}
