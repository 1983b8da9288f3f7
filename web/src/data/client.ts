// The one client of the live channel, and who it speaks for. The session's cookie is out of reach for script: it is traded for a
// token of ten minutes, which is kept in memory and renewed before it ends.

import { ConvexReactClient } from "convex/react";
import { useSyncExternalStore } from "react";

export const client = new ConvexReactClient(location.origin, {
  skipConvexDeploymentUrlCheck: true,
  unsavedChangesWarning: false,
});

export type Session = "asking" | "signed_in" | "signed_out";

const RENEW_MS = 8 * 60_000;
/** A token that was made a moment ago is given again: the client asks twice at its start. */
const FRESH_MS = 30_000;

let session: Session = "asking";
let token: { text: string; mintedAt: number } | null = null;
/** The session of this browser among one's credentials. */
let ownCredential = "";
/** The server's clock less ours. */
let skewMs = 0;
const listeners = new Set<() => void>();

function become(next: Session): void {
  if (session === next) return;
  session = next;
  listeners.forEach((listener) => listener());
}

export function useSession(): Session {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => session,
  );
}

/** Whether a credential is the session of this very browser. */
export const isThisBrowser = (credentialId: string): boolean => credentialId === ownCredential;

/** Now, by the server's clock as far as we know it. */
export function serverNow(): number {
  return Date.now() + skewMs;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server that does not answer has not signed us out: only its own word does. */
async function mint(): Promise<string | null> {
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    const response = await fetch("/api/session-token", { method: "POST", credentials: "same-origin" }).catch(() => null);
    if (response?.ok) {
      const lent: unknown = await response.json().catch(() => null);
      const date = Date.parse(response.headers.get("date") ?? "");
      // The header counts whole seconds.
      if (!Number.isNaN(date) && Math.abs(date - Date.now()) > 2000) skewMs = date - Date.now();
      if (typeof lent === "object" && lent !== null && "token" in lent && typeof lent.token === "string") {
        token = { text: lent.token, mintedAt: Date.now() };
        if ("credentialId" in lent && typeof lent.credentialId === "string") ownCredential = lent.credentialId;
        return token.text;
      }
    }
    if (response?.status === 401) return null;
    await pause(wait);
  }
}

async function fetchToken(): Promise<string | null> {
  if (token !== null && Date.now() - token.mintedAt < FRESH_MS) return token.text;
  token = null;
  return mint();
}

function authenticate(): void {
  client.setAuth(fetchToken, (isSignedIn) => {
    if (isSignedIn) become("signed_in");
    else {
      token = null;
      become("signed_out");
    }
  });
}

/** Begins to speak for whoever is signed in, and goes on doing so. */
export function start(): void {
  authenticate();
  setInterval(() => {
    if (session === "signed_in") authenticate();
  }, RENEW_MS);
}

/** Calls a function whose answer holds a secret: such answers never go over the live channel. */
export async function callOverHttp<T>(name: string, args: Record<string, unknown>): Promise<T> {
  const bearer = await fetchToken();
  return ask(`/api/run/${name.replace(".", "/")}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${bearer ?? ""}` },
    body: JSON.stringify({ args }),
  });
}

/** Asks the server over HTTP; what it refuses is thrown in its own words. */
export async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(path, init).catch(() => null);
  if (response === null) throw new Error("the server does not answer; try again in a moment");
  type Answer = { status?: string; value?: T; errorMessage?: string; message?: string; errorData?: unknown };
  const answer = (await response.json().catch(() => ({}))) as Answer;
  if (answer.status !== "success") {
    const message = answer.errorMessage ?? answer.message ?? `the server refused with status ${response.status}`;
    throw Object.assign(new Error(message), { data: answer.errorData });
  }
  return answer.value as T;
}
