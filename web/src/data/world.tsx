// What every view needs to know: machines, rooms, the roles of each room, and what waits for the person.

import { createContext, type ReactNode, useContext, useMemo } from "react";
import { api, type Chatroom, type Credential, type Machine, type Message, type Permission, type RoleStatus } from "./api";
import { type Live, type Refused, useLive, useLiveEach } from "./live";
import { useNewSignIns } from "./sign-ins";

export type InboxItem = { key: string; at: number; room: Chatroom | undefined } & (
  | { kind: "permission"; permission: Permission }
  | { kind: "returned"; message: Message }
  | { kind: "needs_you"; status: RoleStatus }
  | { kind: "failed"; status: RoleStatus }
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
  }, [who, machines, rooms, roles, recent, permissions, signIns, user]);
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
      const blocked = status.blocked;
      if (blocked === undefined) continue;
      if (blocked.by === "needs_you" || blocked.by === "trouble") items.push({ kind: "needs_you", key: `needs ${key}`, at: blocked.since, room, status });
      if (blocked.by === "ended" && status.desired?.running !== false) items.push({ kind: "failed", key: `failed ${key}`, at: blocked.since, room, status });
    }
    for (const message of unread.get(room.chatroomId) ?? []) {
      items.push({ kind: "returned", key: `message ${message.messageId}`, at: message.createdAt, room, message });
    }
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
