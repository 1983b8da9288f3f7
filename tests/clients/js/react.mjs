// Runs App.tsx as a browser would, presses its button, and prints the text of the page once it shows what that made.
import { build } from "esbuild";
import { Window } from "happy-dom";
import WebSocket from "ws";

const { VITE_CHATROOM_URL: url, VITE_CHATROOM_TOKEN: token } = process.env;
await build({
  entryPoints: ["App.tsx"],
  outfile: "App.mjs",
  bundle: true,
  packages: "external",
  format: "esm",
  jsx: "automatic",
  // Not that of a directory above.
  tsconfigRaw: "{}",
  define: {
    "import.meta.env.VITE_CHATROOM_URL": JSON.stringify(url),
    "import.meta.env.VITE_CHATROOM_TOKEN": JSON.stringify(token),
  },
});

const window = new Window({ url });
window.document.body.innerHTML = '<div id="root"></div>';
for (const name of ["document", "Node", "Element", "HTMLElement", "HTMLIFrameElement", "Event", "MouseEvent"]) {
  globalThis[name] = window[name];
}
Object.assign(globalThis, { window, WebSocket });
globalThis.navigator ??= window.navigator;
await import(`${process.cwd()}/App.mjs`);

async function until(what, look) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const seen = look();
    if (seen) return seen;
  }
  throw new Error(`not within a minute: ${what}; the page is ${window.document.body.innerHTML}`);
}
const button = await until("a button", () => window.document.querySelector("button"));
button.dispatchEvent(new window.MouseEvent("click", { bubbles: true }));
const page = () => window.document.body.textContent;
await until("the new room", () => page().includes("made by React"));
console.log(page());
process.exit(0);
