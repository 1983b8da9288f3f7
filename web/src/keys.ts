// Keys that work everywhere: Ctrl/Cmd-K, and `g` followed by a letter.

import { useEffect } from "react";
import { go } from "./route";

const PLACES: Record<string, string> = { i: "/inbox", r: "/rooms", m: "/machines", s: "/settings" };
const CHORD_MS = 1200;

/** Whether a key belongs to something that is being written, or to what is open above the page. */
export function isTaken(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : null;
  return (
    event.defaultPrevented ||
    event.metaKey ||
    event.ctrlKey ||
    event.altKey ||
    target?.closest("input, textarea, select, [contenteditable]") != null ||
    document.querySelector("[role=dialog], [role=menu]") !== null
  );
}

export function useShortcuts(openPalette: () => void): void {
  useEffect(() => {
    let chordAt = 0;
    const press = (event: KeyboardEvent): void => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        openPalette();
        return;
      }
      if (isTaken(event)) return;
      const place = PLACES[event.key];
      if (Date.now() - chordAt < CHORD_MS && place !== undefined) {
        event.preventDefault();
        chordAt = 0;
        go(place);
      } else {
        chordAt = event.key === "g" ? Date.now() : 0;
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [openPalette]);
}
