// The first run with a real coding agent: found, started from the form, asked for a permission in the inbox, its work watched.

import { picture, signIn, withBrowser, work } from "./browser.mjs";

await withBrowser({}, async (page) => {
  await signIn(page);
  await page.getByRole("heading", { name: "1 tool found" }).waitFor();
  await page.getByLabel("Directory").fill(work);
  await page.getByLabel("Tool").locator("option:checked", { hasText: process.env.TOOL }).waitFor({ state: "attached" });
  await page.getByRole("button", { name: /start the agent/ }).click();
  await page.waitForURL(/\/rooms\//);
  const card = page.getByRole("article", { name: "Role builder" });
  await card.getByText("idle").waitFor({ timeout: 60_000 });
  await page.getByLabel("Message to builder").fill(process.env.TASK);
  await page.keyboard.press("Enter");
  await card.getByText("waits for you").waitFor({ timeout: 60_000 });
  await page.getByRole("link", { name: /^Inbox/ }).first().click();
  const asked = page.getByRole("region", { name: "builder asks for a permission" });
  await asked.getByText("proof.txt").waitFor();
  await picture(page, `inbox-${process.env.TOOL}`);
  await asked.getByRole("button", { name: "Allow once" }).click();
  const returned = page.getByRole("region", { name: "builder has answered" });
  await returned.getByText("done: all 42").waitFor({ timeout: 60_000 });
  await returned.getByRole("link", { name: "Open" }).click();
  await page.getByRole("link", { name: "Talk" }).click();
  await page.getByText("Allowed once by you").waitFor();
  await page.locator(".t-call", { hasText: "proof.txt" }).first().click();
  await page.getByText("all 42").first().waitFor();
  await picture(page, `agent-${process.env.TOOL}`);
});
