/**
 * Drive the demo's page in headless Chromium tabs: one JSON request a line on stdin, one JSON answer a line on stdout.
 *
 * Request: {"id": 1, "do": "open", "tab": "a", ...}. Answer: {"id": 1, "ok": true, "value": ...} or
 * {"id": 1, "ok": false, "error": "..."}. Requests are answered in order; end of stdin closes the browser.
 *
 * Environment: ZMQIO_NODE_MODULES (folder that holds playwright-core), ZMQIO_CHROMIUM (the browser's path),
 * ZMQIO_BROWSER_LIMIT_MS (how long a request may wait for what it expects). tests/support/browser.py sets them.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

// An ESM import does not look in a folder of our choice; a require made there does.
const { chromium } = createRequire(join(process.env.ZMQIO_NODE_MODULES, "from-here.js"))("playwright-core");
const LIMIT_MS = Number(process.env.ZMQIO_BROWSER_LIMIT_MS || 20000);
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

const browser = await chromium.launch({ executablePath: process.env.ZMQIO_CHROMIUM, args: FLAGS, timeout: LIMIT_MS });
const tabs = new Map();

/** Each tab gets a context of its own: another person, with nothing shared. */
async function open({ tab, url, width = 1280, height = 860, scheme = "light", motion = "reduce" }) {
  const options = { viewport: { width, height }, colorScheme: scheme, reducedMotion: motion };
  const context = await browser.newContext({ ...options, permissions: ["clipboard-read", "clipboard-write"] });
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(`uncaught: ${error.message}`));
  page.on("console", (line) => {
    if (line.type() === "error" && line.text().includes("Content Security Policy")) problems.push(line.text());
  });
  // What the page asks of an origin that is not its own: it must not need any.
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) problems.push(`asked elsewhere: ${request.url()}`);
  });
  tabs.set(tab, { context, page, problems });
  await page.goto(url);
  await page.locator('[data-testid="status"][data-state="online"]').waitFor();
}

const at = (page, testid) => page.locator(`[data-testid="${testid}"]`);
const textOf = async (page, testid) => (await at(page, testid).textContent()).trim();

/** All messages in the list, oldest first, as the page shows them. */
function messagesIn(page) {
  return at(page, "message").evaluateAll((items) => items.map((item) => ({
    id: item.dataset.id ?? null,
    text: item.dataset.text,
    from: item.dataset.from,
    node: item.dataset.node,
    via: item.dataset.via,
    state: item.dataset.state,
    own: item.classList.contains("own"),
    route: item.querySelector(".route .sr-only").textContent,
    shown: item.querySelector(".text").textContent,
  })));
}

async function factsOf(page) {
  const names = ["node", "transport", "upgraded", "round-trip", "sid", "broker-address", "presence", "version", "returned"];
  const facts = {};
  for (const name of names) facts[name.replace("-", "_")] = await textOf(page, name);
  facts.status = await at(page, "status").getAttribute("data-state");
  facts.offline = await at(page, "offline").isVisible();
  facts.bus_banner = await at(page, "bus").isVisible();
  facts.command = await textOf(page, "command");
  facts.path = await at(page, "topology").getAttribute("data-path");
  return facts;
}

const quoted = (text) => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\a ");

const actions = {
  async send(page, { text }) {
    await at(page, "text").fill(text);
    await at(page, "send").click();
  },
  async nickname(page, { name }) {
    await at(page, "nickname").fill(name);
    await at(page, "nickname").blur();
  },
  click: (page, { testid }) => at(page, testid).click(),
  messages: (page) => messagesIn(page),
  facts: (page) => factsOf(page),
  /** Wait for a message by its text and, where given, its state; answer with it. */
  async wait_message(page, { text, state }) {
    const wanted = state ? `[data-state="${state}"]` : "";
    await page.locator(`[data-testid="message"][data-text="${quoted(text)}"]${wanted}`).first().waitFor();
    return (await messagesIn(page)).findLast((message) => message.text === text && (!state || message.state === state));
  },
  /** Wait until an element is visible (or hidden) and, where given, holds `text`; answer with its text. */
  async wait(page, { testid, text, state = "visible" }) {
    const found = text === undefined ? at(page, testid) : at(page, testid).filter({ hasText: text });
    await found.first().waitFor({ state });
    return state === "visible" ? (await found.first().textContent()).trim() : null;
  },
  /** What axe-core finds that a keyboard or a screen reader cannot use: the rule and the elements. */
  async audit(page) {
    await page.evaluate(readFileSync(join(process.env.ZMQIO_NODE_MODULES, "axe-core", "axe.min.js"), "utf8"));
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    return violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.target).join(", ")}`);
  },
  /** The names of the elements that the Tab key reaches, in order, from the first one on. */
  async tab_order(page, { count }) {
    await page.locator("body").click({ position: { x: 1, y: 1 } });
    const names = [];
    for (let pressed = 0; pressed < count; pressed += 1) {
      await page.keyboard.press("Tab");
      names.push(await page.evaluate(() => document.activeElement.dataset.testid ?? document.activeElement.id));
    }
    return names;
  },
  screenshot: async (page, { path }) => { await page.screenshot({ path, animations: "disabled" }); },
  problems: (page) => [...tabs.values()].find((tab) => tab.page === page).problems,
  async close(page, { tab }) {
    await tabs.get(tab).context.close();
    tabs.delete(tab);
  },
};

async function answer(request) {
  if (request.do === "open") return open(request);
  const tab = tabs.get(request.tab);
  if (!tab) throw new Error(`no tab ${request.tab}`);
  if (!Object.hasOwn(actions, request.do)) throw new Error(`unknown request ${request.do}`);
  return actions[request.do](tab.page, request);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const reply = await answer(request).then(
    (value) => ({ id: request.id, ok: true, value: value ?? null }),
    (error) => ({ id: request.id, ok: false, error: String(error.message || error) }),
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await browser.close();
