// What an open page tells when the daemon is killed, when the server is killed, and when both are back.

import assert from "node:assert/strict";
import { isAccessible, picture, please, signIn, url, withBrowser } from "./browser.mjs";

const room = `${url}/rooms/${process.env.ROOM}`;

await withBrowser({}, async (page) => {
  await signIn(page);
  await page.goto(room);
  const card = page.getByRole("article", { name: "Role builder" });
  await card.getByText("idle").waitFor();

  await please("kill the daemon");
  const killed = Date.now();
  await card.getByText("unknown").waitFor();
  const told = Date.now() - killed;
  console.log(`told that the daemon is gone after ${told} ms`);
  assert.ok(told < 3000, `only after ${told} ms`);
  await card.getByText("Its machine is disconnected").waitFor({ state: "attached" });
  await picture(page, "machine-away");
  // A machine that stays away while agents are wanted there waits in the inbox.
  await page.goto(`${url}/inbox`);
  await page.getByRole("region", { name: /is not connected$/ }).getByText("what its agent does is not known").waitFor();
  await isAccessible(page, "a lost machine");
  await picture(page, "inbox-machine");
  await page.goto(room);
  await card.getByText("unknown").waitFor();
  await please("start the daemon");
  await card.getByText("idle").waitFor();

  // A draft and what was read survive a server that is away; nothing pretends to be sent.
  const composer = page.getByLabel("Message to builder");
  await composer.fill("Before the");

  // A server that stands still leaves its connections open: the page says so within seconds, and only while it lasts.
  await please("freeze the server");
  const frozen = Date.now();
  const silence = page.getByText(/No answer from the server/);
  await silence.waitFor();
  const noticed = Date.now() - frozen;
  console.log(`told that the server does not answer after ${noticed} ms`);
  assert.ok(noticed < 12_000, `only after ${noticed} ms`);
  assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
  await isAccessible(page, "no answer");
  await picture(page, "no-answer");
  await please("thaw the server");
  await silence.waitFor({ state: "detached" });
  await card.getByText("idle").waitFor();

  await please("kill the server");
  await page.getByText(/Not connected since .*, trying again/).waitFor();
  const send = page.getByRole("button", { name: "Send" });
  assert.ok(await send.isDisabled());
  assert.match((await send.getAttribute("title")) ?? "", /Not connected/);
  assert.ok(await card.getByRole("button", { name: "Stop" }).isDisabled());
  await isAccessible(page, "not connected");
  await picture(page, "not-connected");
  await please("start the server");
  await page.getByText(/Not connected since/).waitFor({ state: "detached", timeout: 40_000 });
  assert.equal(await composer.inputValue(), "Before the");
  await composer.fill("After the outage");
  await page.keyboard.press("Enter");
  await page.getByRole("log").getByText("echo: After the outage").waitFor();
  assert.equal(await page.getByRole("log").getByText("echo: After the outage").count(), 1);

  // A session that is revoked elsewhere ends here at once.
  await please("revoke the browser");
  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
});
