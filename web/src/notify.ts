// Desktop notifications: when something new waits for the person while the page is not in front.

import { useEffect, useRef } from "react";
import { type InboxItem, useWorld } from "./data/world";
import { go, to } from "./route";
import { exact, sentence, shorten } from "./text";
import { KINDS, lastEnd } from "./words";

const KEY = "chatroom.notifications";

export const canNotify = (): boolean => "Notification" in window;
export const wantsNotifications = (): boolean => canNotify() && Notification.permission === "granted" && localStorage.getItem(KEY) === "on";

export async function setNotifications(wanted: boolean): Promise<boolean> {
  if (!wanted) localStorage.removeItem(KEY);
  else if (canNotify() && (await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
  return wantsNotifications();
}

export function titleOf(item: InboxItem): string {
  switch (item.kind) {
    case "permission":
      return `${item.permission.role} asks: ${KINDS[item.permission.toolKind]}`;
    case "returned":
      return `${item.message.senderRole} has answered`;
    case "sign_in":
      return "A new login can act as you";
    case "needs_you":
      return `${item.status.role} needs you`;
    case "failed":
      return `${item.status.role} does not run`;
    case "crashed":
      return `${item.status.role} has crashed`;
    case "machine":
      return `${item.machine.name} is not connected`;
  }
}

export function bodyOf(item: InboxItem): string {
  switch (item.kind) {
    case "permission":
      return shorten(exact(item.permission.command ?? item.permission.title), 160);
    case "returned":
      return shorten(exact(item.message.content), 160);
    case "sign_in":
      return exact(item.credential.name);
    case "crashed":
      return sentence(lastEnd(item.status)?.how ?? "");
    case "machine":
      return shorten(`${item.roles.map(({ room, status }) => `${exact(status.role)} in ${exact(room.name)}`).join(", ")}`, 160);
    default:
      return shorten(exact(item.what), 160);
  }
}

export function useNotifications(): void {
  const { inbox, rooms } = useWorld();
  const known = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (rooms === undefined) return;
    const before = known.current;
    known.current = new Set(inbox.map((item) => item.key));
    // What waited already when the page was opened is no news.
    if (before === null || document.hasFocus() || !wantsNotifications()) return;
    for (const item of inbox.filter((one) => !before.has(one.key)).slice(0, 3)) {
      const shown = new Notification(exact(titleOf(item)), { body: bodyOf(item), tag: item.key });
      shown.onclick = () => {
        window.focus();
        go(item.room ? to("rooms", item.room.chatroomId) : "/inbox");
      };
    }
  }, [inbox, rooms]);
}
