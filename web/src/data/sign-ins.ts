// Which logins this browser has seen before. Another one that can act as the person waits in the inbox until they know it.

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Credential } from "./api";
import { isThisBrowser } from "./client";

const KEY = "chatroom.known-sign-ins";
const listeners = new Set<() => void>();

type Marked = Pick<Credential, "kind" | "name"> & { credentialId?: string };

/** A login that replaces one of the same name is no news; browsers have no names. */
export const markOf = (credential: Marked): string =>
  credential.kind === "browser" ? `browser ${credential.credentialId ?? ""}` : `${credential.kind} ${credential.name}`;

const canAct = (credential: Credential): boolean => ["browser", "cli", "script"].includes(credential.kind);

function read(user: string): string | null {
  return localStorage.getItem(`${KEY}.${user}`);
}

function write(user: string, marks: Iterable<string>): void {
  localStorage.setItem(`${KEY}.${user}`, JSON.stringify([...new Set(marks)].slice(-500)));
  listeners.forEach((listener) => listener());
}

function marksOf(text: string | null): string[] {
  try {
    const marks: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(marks) ? marks.filter((mark) => typeof mark === "string") : [];
  } catch {
    return [];
  }
}

export function knowSignIn(user: string, credential: Marked): void {
  // A browser that begins to know them knows all that are there.
  if (read(user) === null) return;
  write(user, [...marksOf(read(user)), markOf(credential)]);
}

export function useNewSignIns(user: string, credentials: Credential[] | undefined): Credential[] {
  const stored = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => (user === "" ? null : read(user)),
  );
  const [isFirst, setFirst] = useState(false);
  useEffect(() => {
    // What was there when this browser came is what it begins with.
    if (user === "" || credentials === undefined || stored !== null || isFirst) return;
    setFirst(true);
    write(user, credentials.map(markOf));
  }, [user, credentials, stored, isFirst]);
  return useMemo(() => {
    if (stored === null) return [];
    const known = new Set(marksOf(stored));
    return (credentials ?? []).filter((credential) => canAct(credential) && !isThisBrowser(credential.credentialId) && !known.has(markOf(credential)));
  }, [stored, credentials]);
}
