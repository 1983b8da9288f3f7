// An agent that is killed twice: the room and the inbox tell that it has crashed and when it is started again, and a stop leaves it
// stopped.

import assert from "node:assert/strict";
import { isAccessible, PHONE, LAPTOP, picture, please, signIn, url, withBrowser } from "./browser.mjs";

const room = `${url}/rooms/${process.env.ROOM}`;

await withBrowser({}, async (page) => {
  await signIn(page);
  await page.goto(room);
  const card = page.getByRole("article", { name: "Role builder" });
  await card.getByText("idle").waitFor();
  await page.getByLabel("Message to builder").fill("Before it crashes");
  await page.keyboard.press("Enter");
  const log = page.getByRole("log");
  await log.getByText("echo: Before it crashes").waitFor();

  // The first start again comes at once, the second one later.
  await please("kill the agent");
  await please("kill the agent");
  await card.getByText("crashed", { exact: true }).waitFor();
  await card.getByText(/It was ended by signal 9 from outside\. Starts again in \d+ s\./).waitFor();
  await page.getByText(/What you send waits until the agent of builder runs again/).waitFor();
  const isAtEnd = () => log.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight < 2);
  assert.ok(await isAtEnd(), "the newest message is covered");
  await isAccessible(page, "a crashed agent");
  await picture(page, "crashed");
  await page.setViewportSize(PHONE);
  await page.getByRole("button", { name: "crashed Team and queue" }).waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
  await page.setViewportSize(LAPTOP);

  await page.goto(`${url}/inbox`);
  const item = page.getByRole("region", { name: "builder has crashed" });
  await item.getByText(/Starts again in/).waitFor();
  await isAccessible(page, "inbox with a crash");
  await picture(page, "inbox-crashed");

  await page.goto(room);
  await page.getByRole("button", { name: "All agents of this room" }).click();
  await page.getByRole("menuitem", { name: "Stop all…" }).click();
  await page.getByText("builder will be stopped, and not started again").waitFor();
  await page.getByRole("button", { name: "Keep" }).click();
  await card.getByRole("button", { name: "Stop" }).click();
  await card.getByText("stopped", { exact: true }).waitFor();
  await card.getByText(/Starts again/).waitFor({ state: "detached" });
  await please("see that it is not wanted");
  await page.goto(`${url}/inbox`);
  await page.getByRole("heading", { name: "Nothing waits for you" }).waitFor();
});
