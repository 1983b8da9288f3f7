// From a link to a finished task with the built-in agent, without a mouse; then by mouse: stop, start, restart. Another user sees
// nothing of it all.

import assert from "node:assert/strict";
import { isAccessible, picture, signIn, url, withBrowser, work } from "./browser.mjs";

/** Goes on with Tab until what has this name has the focus. */
async function tabTo(page, name) {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press("Tab");
    const here = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === null || element === document.body) return "";
      return element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.innerText ?? "";
    });
    if (here.includes(name)) return;
  }
  assert.fail(`Tab never comes to ${name}`);
}

let room = "";
let agent = "";
await withBrowser({}, async (page) => {
  const begun = Date.now();
  await page.goto(process.env.LINK);
  await tabTo(page, "Sign in");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Start a first agent" }).waitFor();
  await page.getByRole("heading", { name: /is connected/ }).waitFor();
  await tabTo(page, "Directory");
  await page.keyboard.type(work);
  await tabTo(page, "Make the room and start the agent");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/rooms\//);
  const composer = page.getByLabel("Message to builder");
  await composer.waitFor();
  await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
  await page.keyboard.type("Say **hello** to me");
  await page.keyboard.press("Enter");
  const log = page.getByRole("log");
  await log.getByText("echo: Say hello to me").waitFor();
  await log.getByText("done", { exact: true }).waitFor();
  console.log(`from the link to a finished task: ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  room = page.url();

  const card = page.getByRole("article", { name: "Role builder" });
  await card.getByText("idle").waitFor();
  await isAccessible(page, "first room");
  await picture(page, "first-task");

  // What was answered was seen, as the page was in front.
  await log.getByText("seen", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Talk" }).click();
  await page.waitForURL(/\/agents\//);
  agent = page.url();
  await page.getByRole("log").getByText("Say hello to me").first().waitFor();
  await isAccessible(page, "agent of echo");
  await picture(page, "agent-echo");

  await page.goto(room);
  await card.getByRole("button", { name: "Stop" }).click();
  await card.getByText("stopped", { exact: true }).waitFor();
  await card.getByRole("button", { name: "Start" }).click();
  await card.getByText("idle").waitFor();
  await card.getByRole("button", { name: "More about builder" }).click();
  await page.getByRole("menuitem", { name: "Restart" }).click();
  await card.getByText("restart: done").waitFor();
  await card.getByText("idle").waitFor();
  await composer.fill("Once more");
  await page.keyboard.press("Enter");
  await log.getByText("echo: Once more").waitFor();

  // The agent asks; it is answered in the inbox, by its key, and the work comes back.
  await composer.fill("/think what would be best\n/plan look; ask; do\n/edit notes.md\n/ask cargo test --workspace\nAsked and done");
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "builder asks for a permission" }).waitFor();
  await log.getByText("not seen yet").waitFor({ state: "detached" });
  await picture(page, "room-asks");
  await page.goto(`${url}/inbox`);
  const asked = page.getByRole("region", { name: "builder asks for a permission" });
  await asked.getByText("cargo test --workspace").waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await asked.waitFor({ state: "detached" });
  const returned = page.getByRole("region", { name: "builder has answered" });
  await returned.getByText("Asked and done").waitFor();
  await picture(page, "inbox-answer");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(room);
  await log.getByText("New", { exact: true }).waitFor();

  // One task that the agent does not end: it is reminded, then the person is told.
  await composer.fill("/keep\nNever mind");
  await page.keyboard.press("Enter");
  await card.getByText("waits for you").waitFor();
  await page.goto(`${url}/inbox`);
  await page.getByRole("region", { name: "builder needs you" }).waitFor();
  await picture(page, "inbox-needs-you");
  await page.goto(room);
  await card.waitFor();

  // The keys that lead elsewhere.
  await composer.focus();
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await page.waitForURL(`${url}/machines`);
  await page.keyboard.press("g");
  await page.keyboard.press("i");
  await page.waitForURL(`${url}/inbox`);
  await page.getByRole("heading", { name: "Inbox" }).waitFor();
});

await withBrowser({}, async (page) => {
  await signIn(page, process.env.OTHER_LINK);
  await page.getByRole("heading", { name: "Waiting for a machine" }).waitFor();
  await isAccessible(page, "first run without a machine");
  await picture(page, "first-run-no-machine");
  for (const [address, words] of [
    [room, "There is no such room"],
    [agent, "There is no such agent"],
    [`${url}/machines`, "No machines yet"],
    [`${url}/rooms`, "No rooms yet"],
    [`${url}/inbox`, "Nothing waits for you"],
  ]) {
    await page.goto(address);
    await page.getByRole("heading", { name: words }).waitFor();
    const text = await page.locator("body").innerText();
    assert.ok(!text.includes("hello") && !text.includes("first room"), text);
  }
  // A password is set; signed out, nothing stays on the screen.
  await page.goto(`${url}/settings`);
  const password = page.getByRole("region", { name: "Password" });
  await password.getByLabel("New password").fill("correct horse battery staple");
  await page.keyboard.press("Enter");
  await password.getByText("The password is set.").waitFor();
  await password.getByRole("button", { name: "Change password" }).waitFor();
  await isAccessible(page, "settings with a password");
  await picture(page, "password");
  const signOut = async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  };
  await signOut();

  // A wrong one is told with what helps; the right one leads to where one wanted to go.
  await page.goto(`${url}/settings`);
  await page.getByLabel("Name").fill("Mallory");
  await page.getByLabel("Password").fill("correct horse battery stable");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("The name or the password is wrong").waitFor();
  await page.getByRole("alert").getByText("chatroom auth link").waitFor();
  await isAccessible(page, "a wrong password");
  await picture(page, "password-wrong");
  await page.getByLabel("Password").fill("correct horse battery staple");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Settings" }).waitFor();
  assert.equal(page.url(), `${url}/settings`);

  // That one has signed in oneself is no news.
  await page.goto(`${url}/inbox`);
  await page.getByRole("heading", { name: "Nothing waits for you" }).waitFor();
  await page.goto(`${url}/settings`);

  // Without a link it is changed and removed by who knows it.
  await password.getByLabel("Current password").fill("correct horse battery staple");
  await password.getByLabel("New password").fill("a wholly other password");
  await password.getByRole("button", { name: "Change password" }).click();
  await password.getByText("The password is changed").waitFor();
  await password.getByRole("button", { name: "Remove…" }).click();
  const removal = page.getByRole("dialog");
  await removal.getByLabel("Current password").fill("a wholly other password");
  await isAccessible(page, "removing the password");
  await picture(page, "password-remove");
  await removal.getByRole("button", { name: "Remove" }).click();
  await password.getByText("The password is removed").waitFor();
  await password.getByRole("button", { name: "Set password" }).waitFor();

  // A machine's login asks for it too, and comes back to itself.
  await password.getByLabel("New password").fill("correct horse battery staple");
  await page.keyboard.press("Enter");
  await password.getByText("The password is set.").waitFor();
  await signOut();
  const asked = await fetch(`${url}/api/run/auth/startDeviceLogin`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ args: { machineName: "laptop" } }),
  });
  const { verificationUriComplete: login } = (await asked.json()).value;
  await page.goto(login);
  await isAccessible(page, "a machine's login, signed out");
  await picture(page, "device-signed-out");
  await page.getByLabel("Name").fill("mallory");
  await page.getByLabel("Password").fill("correct horse battery staple");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Approve this login?" }).waitFor();
  assert.equal(page.url(), login);
});
