// A real browser for the tests: the system's Chromium, driven by playwright-core, with an eye on what the page must never do.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axe = require.resolve("axe-core/axe.min.js");

export const { URL: url, LINK: link, WORK: work, SCREENSHOTS: screenshots } = process.env;
export const LAPTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** What a page tells on its console that is no fault of its own: the server went away. */
const EXPECTED = [/WebSocket connection to/, /net::ERR_/, /WebSocket closed/, /Attempting reconnect/, /Failed to load resource: the server responded with a status of 401/];

let answers;

/** Asks the test around this script to do something, and waits until it has. */
export async function please(wish) {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  // An open ear alone keeps no script from ending.
  process.stdin.unref();
  console.log(`please: ${wish}`);
  const { value } = await answers.next();
  assert.equal(value, "done", `the test could not: ${wish}`);
}

/** Opens a browser, does something with it, and fails when the page complained of anything. */
export async function withBrowser(options, play) {
  const profile = mkdtempSync(join(tmpdir(), "chatroom-browser-"));
  const context = await chromium.launchPersistentContext(profile, { executablePath, args, headless: true, viewport: LAPTOP, ...options });
  const complaints = [];
  context.setDefaultTimeout(45_000);
  // Before the page, where its policy does not reach.
  await context.addInitScript({ path: axe });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  const watch = (page) => {
    page.on("pageerror", (error) => complaints.push(`error: ${error.stack ?? error}`));
    page.on("console", (message) => {
      const text = message.text();
      if (["error", "warning"].includes(message.type()) && !EXPECTED.some((known) => known.test(text))) complaints.push(`${message.type()}: ${text}`);
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith("data:")) complaints.push(`asked elsewhere: ${request.url()}`);
    });
    page.on("dialog", (dialog) => {
      complaints.push(`a dialog of the browser: ${dialog.message()}`);
      void dialog.dismiss();
    });
  };
  context.on("page", watch);
  context.pages().forEach(watch);
  const page = context.pages()[0] ?? (await context.newPage());
  try {
    await play(page, context);
    assert.deepEqual(complaints, [], "the page complained");
  } catch (error) {
    mkdirSync(screenshots, { recursive: true });
    await page.screenshot({ path: join(screenshots, `failed-${process.argv[1].split("/").at(-1)}.png`) }).catch(() => undefined);
    console.error(complaints.join("\n"));
    throw error;
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

export async function signIn(page, withLink = link) {
  await page.goto(withLink);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${url}/`);
}

/** No serious finding of axe, as the page stands now. */
export async function isAccessible(page, name) {
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return result.violations
      .filter((violation) => ["serious", "critical"].includes(violation.impact))
      .map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
  });
  assert.deepEqual(found, [], `axe on ${name}`);
}

/** A picture of the page as it stands, in light and dark, on a laptop and on a phone. */
export async function picture(page, name) {
  mkdirSync(screenshots, { recursive: true });
  for (const [device, size] of [["laptop", LAPTOP], ["phone", PHONE]]) {
    await page.setViewportSize(size);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(screenshots, `${name}-${device}-${colorScheme}.png`) });
    }
  }
  await page.setViewportSize(LAPTOP);
  await page.emulateMedia({ colorScheme: "light" });
}
