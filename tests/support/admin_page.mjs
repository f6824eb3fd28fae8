/**
 * Drive the official admin page in headless Chromium: one JSON request a line on stdin, one JSON answer a line on
 * stdout, as browser.mjs. The page has no test ids, so it is driven by its texts.
 *
 * Environment: as browser.mjs. tests/support/admin_page.py sets it.
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const { chromium } = createRequire(join(process.env.ZMQIO_NODE_MODULES, "from-here.js"))("playwright-core");
const LIMIT_MS = Number(process.env.ZMQIO_BROWSER_LIMIT_MS || 20000);
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];

const browser = await chromium.launch({ executablePath: process.env.ZMQIO_CHROMIUM, args: FLAGS, timeout: LIMIT_MS });
const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
context.setDefaultTimeout(LIMIT_MS);
const page = await context.newPage();
const problems = [];
page.on("pageerror", (error) => problems.push(`uncaught: ${error.message}`));
let origin = "";
// The page asks other hosts for its fonts; without an answer at once it would wait for them.
await page.route((url) => url.origin !== origin, (route) => route.abort());

const main = () => page.locator(".v-main");
const row = (text) => main().locator("tr").filter({ hasText: text });

const actions = {
  async open({ url }) {
    origin = new URL(url).origin;
    await page.addInitScript(() => addEventListener("DOMContentLoaded", () => {
      const still = document.createElement("style");
      still.textContent = "* { transition: none !important; animation: none !important; }";
      document.head.append(still);
    }));
    await page.goto(url);
  },
  /** Fill in the dialog and press Connect. */
  async login({ server, username, password }) {
    const dialog = page.locator(".v-dialog--active");
    await dialog.getByLabel("Server URL").fill(server);
    await dialog.getByLabel("Username").fill(username);
    await dialog.getByLabel("Password").fill(password);
    await dialog.getByRole("button", { name: "Connect" }).click();
  },
  /** Wait until the dialog shows a text, such as the reason of a refusal. */
  dialog: ({ text }) => page.locator(".v-dialog--active").getByText(text).first().waitFor(),
  connected: () => page.locator(".v-dialog--active").waitFor({ state: "hidden" }),
  /** Show a view by its path behind the `#`. */
  async view({ path }) {
    await page.evaluate((hash) => new Promise((rendered) => {
      location.hash = hash;
      requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(rendered, 50)));
    }), path);
    await page.locator(".v-breadcrumbs").nth(1).waitFor({ state: "detached" }); // both views are there until then
  },
  /** Wait until a text is in the view, or until it is gone. */
  wait: ({ text, state = "visible" }) => main().getByText(text).first().waitFor({ state }),
  /** Wait until the row with some text has another one, too. */
  async wait_row({ text, has }) { await row(text).filter({ hasText: has }).first().waitFor(); },
  /** Press the button in the row with some text. */
  press: ({ text, index = 0 }) => row(text).locator("button").nth(index).click(),
  /** Press a row itself, which shows its details. */
  open_row: ({ text }) => row(text).first().click({ position: { x: 5, y: 5 } }),
  /** The id of the client in the view of one of its sockets. */
  client_id: () => main().locator("a.link").first().innerText(),
  click: ({ text }) => main().getByText(text).first().click(),
  async namespace({ name }) {
    await main().locator(".v-select").first().click();
    await page.locator(".v-menu__content").getByText(name, { exact: true }).click();
  },
  async join({ room }) {
    await main().getByLabel("Join a room").fill(room);
    await main().locator("form button[type=submit]").click();
  },
  text: () => main().innerText(),
  menu: () => page.locator(".v-navigation-drawer").innerText(),
  reload: () => page.reload(),
  screenshot: async ({ path }) => { await page.screenshot({ path, animations: "disabled" }); },
  problems: () => problems,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: action, ...request } = JSON.parse(line);
  const reply = await Promise.resolve()
    .then(() => actions[action](request))
    .then((value) => ({ id, ok: true, value: value ?? null }), (error) => ({ id, ok: false, error: String(error) }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await browser.close();
