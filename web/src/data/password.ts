// Signing in by name and password, and looking after one's own. These go by the session's cookie, not over the live channel.

import { ask } from "./client";
import { knowSignIn } from "./sign-ins";

export type PasswordState = {
  /** When it was set; none when there is none. */
  setAt?: number;
  /** Whether the current one has to be told to change it. */
  needsCurrent: boolean;
};

/** The server has the last word on these. */
export const SHORTEST = 12;
export const LONGEST = 128;

const post = <T>(path: string, body: unknown): Promise<T> =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Gives this browser a session; the page then begins anew, at the address where it is. */
export async function signIn(name: string, password: string): Promise<void> {
  const { userId, credentialId } = await post<{ userId: string; credentialId: string }>("/sign-in", { name, password });
  // What one does here oneself is no news.
  knowSignIn(userId, { kind: "browser", name: "browser", credentialId });
  location.reload();
}

export const readPassword = (): Promise<PasswordState> => ask("/password");

export const setPassword = (password: string, current: string | undefined): Promise<PasswordState> => post("/password", { change: "set", password, current });

export const removePassword = (current: string | undefined): Promise<PasswordState> => post("/password", { change: "remove", current });
