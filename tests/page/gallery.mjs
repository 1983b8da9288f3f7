// Every view with real content: a played machine says everything that a tool may say, also what nobody should. Permissions are
// answered from the inbox and from the transcript; what is hostile stays text; axe finds nothing serious; pictures are kept.

import assert from "node:assert/strict";
import { isAccessible, LAPTOP, PHONE, picture, signIn, url, withBrowser } from "./browser.mjs";
import { call, Machine } from "./machine.mjs";

const token = process.env.TOKEN;
const HOSTILE = [
  `<script>globalThis.hacked = true</script><img src=x onerror="globalThis.hacked=true">`,
  `[click](javascript:globalThis.hacked=true) [data](data:text/html,<script>1</script>) <https://example.org/"onmouseover=1>`,
  "\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u001b[2J\u001b]52;c;aGFja2Vk\u0007",
  "user\u202Egnp.exe \u2066hidden\u2069 zero\u200bwidth",
  "x".repeat(10_000),
  "**bold `code` _soft_** ~~gone~~ ".repeat(200),
].join("\n\n");
const BRIEF = [
  "# Task for `builder`",
  "The text of the task (each line begins with `|`):",
  "| Add a changelog and a **release workflow**.",
  "|",
  "| Both.",
  "",
  "## What was said before",
  "2. `user` to `builder`:",
  "| An older thing.",
  "",
  "## What to do",
  "1. Do what the text of the task asks. ".repeat(20),
].join("\n");
const NAME = `<b>evil</b>\u202Eeman "'&`;

const server = (name, args) => call(url, token, name, args);

const desktop = await Machine.connect(url, token, {
  availableTools: [
    { name: "echo", path: "/home/ada/.cargo/bin/chatroom", status: "ok", version: "0.1.0", driver: "acp", asks: true },
    { name: "opencode", path: "/home/ada/.opencode/bin/opencode", status: "ok", version: "1.18.33", driver: "acp", asks: true },
    { name: "claude", path: "/home/ada/.local/bin/claude", status: "not_signed_in", version: "2.1.330", driver: "claude", asks: true, repair: "claude auth login" },
    { name: "codex", path: "/usr/bin/codex", status: "broken", reason: NAME, repair: "npm install -g @openai/codex" },
    { name: "gemini", status: "missing", repair: "npm install -g @google/gemini-cli" },
  ],
});
const room = await server("chatrooms.create", { name: "website", team: "squad" });
const evil = await server("chatrooms.create", { name: NAME.slice(0, 100), team: "solo" });
const roomId = room.chatroomId;
for (const role of ["planner", "builder", "reviewer"]) {
  const workingDir = role === "reviewer" ? `/home/ada/${NAME}` : "/home/ada/website";
  await server("machines.updateAgentConfig", { machineId: desktop.id, chatroomId: roomId, role, tool: "opencode", workingDir, model: "sonnet", permissionMode: "ask" });
}
const start = async (role) => {
  const payload = { chatroomId: roomId, role };
  const command = await server("machines.sendCommand", { machineId: desktop.id, type: "start-agent", payload });
  for (;;) {
    const now = await server("machines.getCommand", { commandId: command.commandId });
    if (now.status === "completed") return now.result.agentId;
    assert.notEqual(now.status, "failed", JSON.stringify(now));
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
};
const planner = await start("planner");
const builder = await start("builder");
await server("messages.send", { chatroomId: roomId, content: "Add a changelog and a **release workflow**:\n\n1. `CHANGELOG.md` from the tags\n2. a workflow that builds on each tag\n\n| file | why |\n|---|---|\n| CHANGELOG.md | people |", role: "builder" });
await server("messages.send", { chatroomId: evil.chatroomId, content: HOSTILE });
await server("backlog.add", { chatroomId: roomId, content: `Look at the flaky test ${NAME}` });
await server("artifacts.put", { chatroomId: roomId, name: "plan.md", content: `# Plan\n\n${HOSTILE}` });
await desktop.say(
  builder,
  { kind: "prompt", source: { by: "task", taskId: "t", delivery: 1 }, text: BRIEF },
  { kind: "thought", text: "The tags are the truth here. " },
  { kind: "thought", text: "I look at them first." },
  { kind: "plan", steps: [{ content: "Read the tags", status: "completed" }, { content: "Write CHANGELOG.md", status: "in_progress" }, { content: NAME, status: "pending" }] },
  { kind: "text", text: "I begin with the tags, then write `CHANGELOG.md`.\n\n" },
  { kind: "text", text: "- one entry for each tag\n- links to `example.org`\n" },
  { kind: "tool_call", callId: "1", title: "git tag", toolKind: "execute", command: "git tag --sort=-creatordate" },
  { kind: "tool_update", callId: "1", status: "completed", output: "\u001b[32mv1.2.0\u001b[0m\nv1.1.0\nv1.0.0\n" },
  { kind: "tool_call", callId: "2", title: "Edit CHANGELOG.md", toolKind: "edit", paths: ["/home/ada/website/CHANGELOG.md"] },
  { kind: "tool_update", callId: "2", status: "completed", diffs: [{ path: "/home/ada/website/CHANGELOG.md", oldText: "# Changes\n\nnothing\nend\n", newText: "# Changes\n\n## 1.2.0\n\n- a page\nend\n" }] },
  { kind: "tool_call", callId: "3", title: HOSTILE.slice(0, 500), toolKind: "execute", command: `cat ${NAME}` },
  { kind: "tool_update", callId: "3", status: "failed", output: HOSTILE },
  { kind: "output", text: `warning: ${HOSTILE.slice(0, 300)}` },
  { kind: "retrying", message: "the service is overloaded", attempt: 2 },
  { kind: "text", text: HOSTILE },
);
const ask = (requestId, command) => ({
  kind: "permission_asked",
  requestId,
  title: "Run a command",
  toolKind: "execute",
  command,
  options: [
    { optionId: "once", name: "Yes", kind: "allow_once" },
    { optionId: "always", name: "Yes, always", kind: "allow_always" },
    { optionId: "no", name: "No", kind: "reject_once" },
  ],
});
await desktop.say(planner, { kind: "prompt", source: { by: "person", inputId: "x" }, text: "Plan the release." }, ask("p1", "npm run build --workspaces"));
await desktop.say(builder, ask("b1", `git push origin ${NAME}`));

// One whose tool cannot work: nobody starts it again by itself, and its owner is told.
const reviewer = await start("reviewer");
const trouble = { kind: "not_signed_in", message: `nobody is signed in to opencode ${NAME}`, repair: "opencode auth login", at: Date.now() };
await desktop.say(reviewer, { kind: "trouble", trouble });
await desktop.end(reviewer, { how: "unusable", trouble });

const isHarmless = async (page) => assert.equal(await page.evaluate(() => globalThis.hacked), undefined, "text of others was run");

await withBrowser({}, async (page) => {
  await page.goto(`${url}/`);
  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  await isAccessible(page, "signed out");
  await picture(page, "signed-out");
  await signIn(page);

  const view = async (path, name, ready) => {
    await page.goto(url + path);
    await ready();
    await isAccessible(page, name);
    await picture(page, name);
    await isHarmless(page);
  };
  const builderCard = page.getByRole("article", { name: "Role builder" });
  await view("/inbox", "inbox", () => page.getByRole("region", { name: "reviewer does not run" }).getByText("opencode auth login").waitFor());
  await view(`/rooms/${roomId}`, "room", () => builderCard.getByText("waits for you").waitFor());
  await view(`/agents/${reviewer}`, "agent-failed", () => page.getByText("nobody is signed in").first().waitFor());
  await view(`/agents/${builder}`, "agent", () => page.getByText("git tag --sort").first().waitFor());
  await view("/machines", "machines", () => page.getByText("not signed in").waitFor());
  await view("/rooms", "rooms", () => page.getByRole("link", { name: /website.*waits for you/ }).first().waitFor());
  await view("/settings", "settings", () => page.getByRole("heading", { name: "Who can act as you" }).waitFor());
  await view("/start", "first-run", () => page.getByRole("heading", { name: "Room and agent" }).waitFor());
  await view(`/rooms/${evil.chatroomId}`, "hostile-room", () => page.getByRole("log").getByText("<script>globalThis.hacked").waitFor());

  // Nothing of it has become a link that leads elsewhere than to http, and nothing hides.
  const links = await page.locator("main a").evaluateAll((all) => all.map((one) => one.href));
  assert.ok(links.every((href) => /^https?:/.test(href)), links.join(" "));
  assert.match(await page.getByRole("heading", { level: 1 }).innerText(), /U\+202E/);
  assert.match(await page.getByRole("log").innerText(), /user‹U\+202E›gnp\.exe ‹U\+2066›hidden‹U\+2069›/);
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], "the page is wider than its window");
  await page.setViewportSize(PHONE);
  for (const path of ["/inbox", `/rooms/${roomId}`, `/rooms/${evil.chatroomId}`, `/agents/${builder}`, "/machines", "/settings", "/start"]) {
    await page.goto(url + path);
    await page.getByRole("navigation", { name: "Main" }).last().waitFor();
    await page.waitForFunction(() => document.querySelector("main")?.textContent?.length);
    const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(needed <= given, `${path} is ${needed} px wide on a phone of ${given}`);
  }
  await page.setViewportSize(LAPTOP);

  // A folded call opens: its change line by line, its output without colours.
  await page.goto(`${url}/agents/${builder}`);
  await page.getByText("Edit CHANGELOG.md").waitFor();
  // Of the brief, the task alone.
  await page.getByRole("log").evaluate((element) => (element.scrollTop = 0));
  const task = await page.getByRole("region", { name: "Task" }).innerText();
  assert.match(task, /Add a changelog and a release workflow\.\s+Both\.\s+The whole brief/);
  assert.doesNotMatch(task, /An older thing/);
  await page.getByText("Edit CHANGELOG.md").click();
  await page.getByText("## 1.2.0").waitFor();
  await page.getByText("git tag --sort").first().click();
  await page.getByText("v1.2.0\nv1.1.0").waitFor();
  await isAccessible(page, "open calls");
  await picture(page, "agent-open");

  // The narrow yes, from the inbox, by its key.
  await page.goto(`${url}/inbox`);
  const asked = page.getByRole("region", { name: "planner asks for a permission" });
  await asked.waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await asked.waitFor({ state: "detached" });
  const [answered] = await server("permissions.list", { agentId: planner, includeEnded: true });
  assert.deepEqual([answered.state, answered.choice, answered.by], ["answered", "allow_once", "person"]);

  // What failed is left as it is, and waits for nobody any more.
  const failed = page.getByRole("region", { name: "reviewer does not run" });
  await failed.getByRole("button", { name: "Leave it stopped" }).click();
  await failed.waitFor({ state: "detached" });
  await page.goto(`${url}/rooms/${roomId}`);
  await page.getByRole("article", { name: "Role reviewer" }).getByText("stopped", { exact: true }).waitFor();

  // The other one, in the transcript.
  await page.goto(`${url}/agents/${builder}`);
  await page.getByRole("button", { name: "Refuse", exact: true }).click();
  await page.getByText("Refused by you").waitFor();

  // Something is said to it, and its turn is cancelled.
  await page.getByLabel("Say something to builder").fill("Leave the workflow for later.");
  await page.keyboard.press("Enter");
  await page.getByText("Leave the workflow for later.").waitFor();
  await page.getByRole("button", { name: "Cancel turn" }).click();
  await page.getByText("Turn cancelled").waitFor();
  await page.getByRole("main").getByText("idle").waitFor();

  // A directory that is not there is told before the start.
  await page.goto(`${url}/rooms/${roomId}`);
  await page.getByRole("article", { name: "Role reviewer" }).getByRole("button", { name: "More about reviewer" }).click();
  await page.getByRole("menuitem", { name: "Machine, tool, directory…" }).click();
  await page.getByLabel("Directory").fill("/nowhere");
  await page.getByLabel("Directory").blur();
  await page.getByText("there is no directory /nowhere").waitFor();
  await isAccessible(page, "agent form");
  await picture(page, "agent-form");
  await page.keyboard.press("Escape");

  // A rule that answers from now on, made where the question stands; it can be taken back in the settings.
  await desktop.say(builder, { kind: "prompt", source: { by: "person", inputId: "y" }, text: "Test it." }, ask("b2", "cargo test --workspace"));
  await page.getByRole("button", { name: "More answers" }).click();
  await page.getByRole("menuitem", { name: "Always allow “cargo test …” to builder" }).click();
  await page.getByRole("button", { name: "Allow once" }).waitFor({ state: "detached" });
  await desktop.say(builder, ask("b3", "cargo test -p one"));
  for (;;) {
    const all = await server("permissions.list", { agentId: builder, includeEnded: true });
    const third = all.find((permission) => permission.requestId === "b3");
    if (third?.state === "answered") {
      assert.equal(third.by, "rule");
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await page.goto(`${url}/settings`);
  await page.getByText("cargo test …").waitFor();
  await page.getByRole("region", { name: "What is answered for you" }).getByRole("button", { name: "Remove" }).click();
  await page.getByText("cargo test …").waitFor({ state: "detached" });

  // Another login than those that were there at the first look waits in the inbox, and is ended from there.
  await call(url, token, "auth.createToken", { name: "a stranger", expiresInMs: 3_600_000, scope: "full" });
  await page.goto(`${url}/inbox`);
  const stranger = page.getByRole("region", { name: "A new login can act as you" });
  await stranger.getByText("a stranger").waitFor();
  await stranger.getByRole("button", { name: "Revoke it" }).click();
  await stranger.waitFor({ state: "detached" });
  const names = (await server("auth.listCredentials", {})).map((credential) => credential.name);
  assert.ok(!names.includes("a stranger"), names.join(", "));

  // A machine's login: what one must know to decide, and the decision.
  const login = await call(url, "", "auth.startDeviceLogin", { machineName: NAME });
  await page.goto(login.verificationUriComplete);
  await page.getByText(login.userCode).first().waitFor();
  await page.getByText("127.0.0.1").waitFor();
  await page.getByText("<b>evil</b>‹U+202E›eman").waitFor();
  await isAccessible(page, "device login");
  await picture(page, "device");
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByText("The machine is signed in").waitFor();

  // The palette.
  await page.goto(`${url}/rooms/${roomId}`);
  await builderCard.waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("transcript plan");
  await picture(page, "palette");
  await isAccessible(page, "palette");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${url}/agents/${planner}`);

  // Ten thousand events: the page holds a window of them, and goes through all of them.
  await desktop.say(planner, { kind: "text", text: "the beginning of much" });
  const many = Array.from({ length: 10_000 }, (_, index) =>
    index % 2 === 0
      ? { kind: "tool_call", callId: `m${index}`, title: `step ${index}`, toolKind: "read", paths: [`/home/ada/website/${index}.md`] }
      : { kind: "tool_update", callId: `m${index - 1}`, status: "completed", output: `done ${index}` },
  );
  await desktop.say(planner, ...many);
  await page.getByText("step 9998").waitFor();
  await page.reload();
  await page.getByText("step 9998").waitFor();
  const log = page.getByRole("log");
  while (await page.getByRole("button", { name: /^Earlier/ }).isVisible()) {
    await log.evaluate((element) => (element.scrollTop = 0));
    await page.getByRole("button", { name: /^Earlier/ }).click();
    await page.getByRole("button", { name: "Reading…" }).waitFor({ state: "detached" });
  }
  const rows = await page.locator(".row-virtual").count();
  assert.ok(rows < 120, `${rows} rows in the document`);
  const slowest = await log.evaluate(async (element) => {
    let [worst, before] = [0, performance.now()];
    for (let at = 0; at < 60; at += 1) {
      element.scrollTop = (element.scrollHeight * at) / 60;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      worst = Math.max(worst, performance.now() - before);
      before = performance.now();
    }
    return worst;
  });
  console.log(`slowest frame of a jump through 10,000 events: ${Math.round(slowest)} ms`);
});
await desktop.close();
process.exit(0);
