// What every view needs to know: machines, rooms, the roles of each room, and what waits for the person.

import { createContext, type ReactNode, useContext, useMemo } from "react";
import { api, type Blocked, type Chatroom, type Credential, type Machine, type Message, type Permission, type RoleStatus } from "./api";
import { type Live, type Refused, useLive, useLiveEach } from "./live";
import { useNewSignIns } from "./sign-ins";
import { useNow } from "../ui/basic";
import { isActive, lastEnd, machineOf, troubleOf, waitsToStart } from "../words";

export type InboxItem = { key: string; at: number; room: Chatroom | undefined } & (
  | { kind: "permission"; permission: Permission }
  | { kind: "returned"; message: Message }
  | { kind: "needs_you" | "failed"; status: RoleStatus; what: string; repair: string | undefined }
  | { kind: "crashed"; status: RoleStatus }
  | { kind: "machine"; machine: Machine; roles: { room: Chatroom; status: RoleStatus }[] }
  | { kind: "sign_in"; credential: Credential; user: string }
);

export type World = {
  /** Empty while it is asked for. */
  userId: string;
  userName: string;
  /** None while they are asked for. */
  machines: Machine[] | undefined;
  rooms: Chatroom[] | undefined;
  roles: Map<string, Live<RoleStatus[]>>;
  /** Messages to the person that they have not seen, by room. */
  unread: Map<string, Message[]>;
  permissions: Permission[];
  inbox: InboxItem[];
  error?: Refused;
};

const Context = createContext<World | null>(null);

/** So many rooms are followed at once; older ones are shown without their state. */
const FOLLOWED = 40;
const RECENT = 50;
/** A machine whose daemon is only started anew is back sooner. */
const LOST_AFTER_MS = 15_000;
/** A start that comes at once is nothing to look at. */
const LOOP_AFTER_MS = 5000;

export function useWorld(): World {
  const world = useContext(Context);
  if (world === null) throw new Error("there is no world above this view");
  return world;
}

export function WorldProvider({ children }: { children: ReactNode }) {
  const who = useLive(api.auth.whoami, {});
  const machines = useLive(api.machines.listMachines, {});
  const rooms = useLive(api.chatrooms.list, {});
  const permissions = useLive(api.permissions.list, {});
  const ids = useMemo(() => (rooms.value ?? []).slice(0, FOLLOWED).map((room) => room.chatroomId), [rooms.value]);
  const roles = useLiveEach(api.agents.listRoles, ids, (chatroomId) => ({ chatroomId }));
  const recent = useLiveEach(api.messages.list, ids, (chatroomId) => ({ chatroomId, limit: RECENT }));
  const credentials = useLive(api.auth.listCredentials, {});
  const user = who.value?.kind === "user" ? who.value.userId : "";
  const signIns = useNewSignIns(user, credentials.value);
  const now = useNow();
  const lost = (machines.value ?? [])
    .filter((machine) => machine.connection === "disconnected" && now - machine.connectionSince > LOST_AFTER_MS)
    .map((machine) => machine.machineId)
    .join(" ");
  const world = useMemo((): World => {
    const unread = new Map<string, Message[]>();
    for (const [id, messages] of recent) unread.set(id, (messages.value ?? []).filter(isUnread));
    const waiting = (permissions.value ?? []).filter((permission) => permission.state === "pending");
    const inbox: InboxItem[] = signIns.map((credential) => ({
      kind: "sign_in",
      key: `sign-in ${credential.credentialId}`,
      at: credential.createdAt,
      room: undefined,
      credential,
      user,
    }));
    inbox.push(...inboxOf(rooms.value ?? [], roles, unread, waiting));
    const gone = (machines.value ?? []).filter((machine) => lost.includes(machine.machineId));
    inbox.push(...lostMachines(gone, rooms.value ?? [], roles, recent));
    const error = machines.error ?? rooms.error;
    return {
      userId: user,
      userName: who.value?.kind === "user" ? who.value.userName : "",
      machines: machines.value,
      rooms: rooms.value,
      roles,
      unread,
      permissions: waiting,
      inbox: inbox.sort((a, b) => a.at - b.at),
      ...(error ? { error } : {}),
    };
  }, [who, machines, rooms, roles, recent, permissions, signIns, user, lost]);
  return <Context.Provider value={world}>{children}</Context.Provider>;
}

const isUnread = (message: Message): boolean => message.targetRole === "user" && message.kind !== "progress" && message.receipt?.stage === "queued";

function inboxOf(rooms: Chatroom[], roles: World["roles"], unread: World["unread"], permissions: Permission[]): InboxItem[] {
  const items: InboxItem[] = permissions.map((permission) => ({
    kind: "permission",
    key: `permission ${permission.permissionId}`,
    at: permission.askedAt,
    room: rooms.find((room) => room.chatroomId === permission.chatroomId),
    permission,
  }));
  for (const room of rooms) {
    for (const status of roles.get(room.chatroomId)?.value ?? []) {
      const key = `${room.chatroomId} ${status.role} ${status.agent?.agentId ?? ""}`;
      const { agent, blocked, desired } = status;
      // What keeps its machine away hides nothing that waited before.
      const trouble = troubleOf(agent);
      const turn = agent?.state === "running" ? agent.session.turn : undefined;
      const words = (by: Blocked["by"], own: string, at: number) =>
        blocked?.by === by ? { what: blocked.message, repair: blocked.repair, at: blocked.since } : { what: own, repair: undefined, at };
      if (trouble) {
        items.push({ kind: "needs_you", key: `needs ${key}`, room, status, ...words("trouble", trouble.message, trouble.at) });
      } else if (turn?.state === "needs_you") {
        items.push({ kind: "needs_you", key: `needs ${key}`, room, status, ...words("needs_you", "its turn has ended and its task is still open", turn.since) });
      }
      if (desired?.running !== false && !isActive(agent) && (blocked?.by === "ended" || desired?.givenUp !== undefined)) {
        items.push({ kind: "failed", key: `failed ${key}`, room, status, ...words("ended", desired?.givenUp ?? "it has ended", lastEnd(status)?.at ?? desired?.since ?? room.createdAt) });
      }
      const end = waitsToStart(status) ? lastEnd(status) : undefined;
      if (end && !end.isCalm && (desired?.restartAt ?? 0) - end.at > LOOP_AFTER_MS) items.push({ kind: "crashed", key: `crashed ${key}`, at: end.at, room, status });
    }
    for (const message of unread.get(room.chatroomId) ?? []) {
      items.push({ kind: "returned", key: `message ${message.messageId}`, at: message.createdAt, room, message });
    }
  }
  return items;
}

/** Machines that are gone while agents of theirs are wanted, or tasks wait for them. */
function lostMachines(gone: Machine[], rooms: Chatroom[], roles: World["roles"], recent: Map<string, Live<Message[]>>): InboxItem[] {
  const items: InboxItem[] = [];
  for (const machine of gone) {
    const of = rooms.flatMap((room) =>
      (roles.get(room.chatroomId)?.value ?? [])
        .filter((status) => {
          if (machineOf(status) !== machine.machineId) return false;
          const hasTask = recent.get(room.chatroomId)?.value?.some((message) => message.targetRole === status.role && message.receipt?.stage === "queued");
          return status.desired?.running === true || isActive(status.agent) || hasTask === true;
        })
        .map((status) => ({ room, status })),
    );
    if (of.length > 0) items.push({ kind: "machine", key: `machine ${machine.machineId} ${machine.connectionSince}`, at: machine.connectionSince, room: undefined, machine, roles: of });
  }
  return items;
}

export function useRoom(chatroomId: string): Chatroom | undefined {
  return useWorld().rooms?.find((room) => room.chatroomId === chatroomId);
}

export function useMachine(machineId: string | undefined): Machine | undefined {
  return useWorld().machines?.find((machine) => machine.machineId === machineId);
}

/** Whether a tool can be started and is ready, by the last detection. */
export const isUsable = (tool: Machine["availableTools"][number]): boolean => tool.status === "ok" && tool.driver !== undefined;
