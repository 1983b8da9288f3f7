// Light, dark, or as the system has it.

export type Theme = "system" | "light" | "dark";

const KEY = "chatroom.theme";

export function theme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function applyTheme(next: Theme = theme()): void {
  // The server's own pages (a machine's login) are drawn without script: they are told by a cookie.
  document.cookie = `chatroom-colours=${next}; Path=/; SameSite=Lax; Max-Age=${next === "system" ? 0 : 31_536_000}`;
  if (next === "system") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset["theme"];
  } else {
    localStorage.setItem(KEY, next);
    document.documentElement.dataset["theme"] = next;
  }
}
