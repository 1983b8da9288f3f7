// Text that others wrote (names, paths, commands, output) made safe to read: React escapes it, this makes visible what would
// hide or turn around what stands beside it.

const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[PX^_][^\u001b]*\u001b\\|[@-Z\\-_])/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** They turn the direction of writing. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** They cannot be seen at all; some writing and many an emoji needs them. */
const INVISIBLE = /[\u200b-\u200d\u2060-\u2065\ufeff]/g;

const code = (character: string): string => `\u2039U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}\u203a`;

/** What turns the direction of writing around, made visible. */
const turned = (text: string): string => text.replace(TURNING, code);

/** Prose: control characters are left out. */
export function prose(text: string): string {
  return turned(text.replace(ESCAPES, "").replace(/\r\n?/g, "\n").replace(CONTROLS, ""));
}

/** What is decided upon (a command, a path, a name): nothing hidden stays hidden. */
export function exact(text: string): string {
  return turned(text.replace(/\r\n/g, "\n").replace(CONTROLS, code).replace(INVISIBLE, code));
}

/** What a terminal showed, without its colours; a line that was written over stands as it was last. */
export function terminal(text: string): string {
  return turned(
    text
      .replace(ESCAPES, "")
      .replace(/\r\n/g, "\n")
      .replace(/[^\n]*\r(?!$)/g, "")
      .replace(CONTROLS, ""),
  );
}

const HOME = /^(\/home\/[^/]+|\/Users\/[^/]+|\/root)(?=\/|$)/;

/** Whether an address leads nowhere but to the machine that opens it. */
export const isOnThisMachine = (address: string): boolean => URL.canParse(address) && /^(127\..*|localhost|\[::1\])$/.test(new URL(address).hostname);

/** A path with `~` for the home directory. */
export const shortPath = (path: string): string => exact(path).replace(HOME, "~");

/** The home directory of whoever installed a program there, when its path tells. */
export const homeOf = (program: string): string | undefined => HOME.exec(program)?.[1];

/** What the server says in a fragment, as a sentence. */
export const sentence = (text: string): string => (text === "" ? "" : `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?:]$/.test(text) ? "" : "."}`);

/** How many characters a text has beyond what is taken; zero when it fits. Spaces around it do not count. */
export const excess = (text: string, most: number): number => (text.length <= most ? 0 : Math.max(0, [...text.trim()].length - most));

export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}

/** How long ago, in one unit. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** How long something took or takes. */
export function lasting(ms: number): string {
  if (ms < 9950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY_TIME = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** The time of day, with the day when it is another one. */
export function clockTime(at: number, now: number): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return (isToday ? TIME : DAY_TIME).format(at);
}

export const exactTime = (at: number): string => EXACT.format(at);
export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
