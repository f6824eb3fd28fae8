/**
 * The demo's page: one Socket.IO client, connected to the node that served the page, and its display.
 *
 * Query: `?transport=polling|websocket` (default: polling, then upgrade) and `?name=` (nickname).
 * `io` is the official browser client, loaded from /socket.io/socket.io.js.
 */

import { createMessages, formatMs } from "./messages.js";
import { createTopology, OUTSIDE } from "./topology.js";

const TRANSPORTS = { auto: ["polling", "websocket"], polling: ["polling"], websocket: ["websocket"] };
/** How long the page stays away after a cut, about: enough to write to it on another node. */
const AWAY_MS = 4000;
const DELAY_MS = 1000;
const REASONS = {
  "forced close": "This page has cut the connection.",
  "transport close": "The connection was closed.",
  "transport error": "The connection was lost.",
  "ping timeout": "The node stopped responding.",
  "io server disconnect": "The node ended this session.",
  "parse error": "The node sent data that is not Socket.IO.",
};

const byId = (id) => document.getElementById(id);
const byTest = (name) => document.querySelector(`[data-testid="${name}"]`);
const query = new URLSearchParams(location.search);

async function readConfig() {
  const fallback = { node: "?", nodes: [], broker: "", program: "zmqio", version: "" };
  try {
    const response = await fetch("config.json", { cache: "no-store" });
    return response.ok ? { ...fallback, ...(await response.json()) } : fallback;
  } catch {
    return fallback;
  }
}

/** The nickname of this tab: from the query, or from before a reload. Without one, the node gives a free one. */
function firstName() {
  return query.get("name")?.trim() || sessionStorage.getItem("zmqio-name") || "";
}

const config = await readConfig();
const state = { node: config.node, name: firstName(), mode: modeFromQuery(), attempt: 0, reason: "", switching: false, returning: false, missed: 0 };
const tintOf = (name) => {
  const index = config.nodes.findIndex((node) => node.name === name);
  return index < 0 ? "outside" : index % 4;
};
const topology = createTopology(byTest("topology"), config.nodes);
const messages = createMessages({
  scroller: byId("scroller"), list: byId("messages"), empty: byId("empty"), more: byId("more"), tintOf, resend: send,
});
if (typeof window.io !== "function") {
  showOffline("The Socket.IO client could not be loaded.", "Reload the page to try again.");
  throw new Error("no Socket.IO client at /socket.io/socket.io.js");
}
const socket = window.io({ transports: TRANSPORTS[state.mode], auth: (answer) => answer({ name: state.name }), reconnectionDelay: DELAY_MS, reconnectionDelayMax: 5000 });
// Emitted before the first connection and after each loss: the client buffers it and sends it first.
const introduce = () => socket.emit("nickname", state.name);

function modeFromQuery() {
  const wanted = query.get("transport");
  return wanted === "polling" || wanted === "websocket" ? wanted : "auto";
}

// --- events from the node ---------------------------------------------------------------------------------------

socket.on("connect", () => {
  Object.assign(state, { attempt: 0, reason: "", switching: false, missed: 0 });
  socket.io.reconnectionDelay(DELAY_MS);
  topology.setReachable(state.node, true); // another node than before may have answered
  state.node = config.nodes.find((node) => node.url === socket.io.uri)?.name ?? state.node;
  messages.setSelf(state.node, socket.id);
  messages.sendWaiting();
  hideOffline();
  showTransport(false);
  showConnection();
});

socket.on("disconnect", (reason) => {
  Object.assign(state, { reason, returning: !state.switching });
  messages.loseSending();
  introduce();
  showBus(true, []);
  showConnection();
  if (!state.switching) explainOffline();
});

socket.on("connect_error", (error) => {
  if (!state.reason || !socket.active) state.reason = error.message;
  showConnection();
  explainOffline();
});

socket.io.on("reconnect_attempt", (attempt) => {
  state.attempt = attempt;
  explainOffline();
});

socket.io.on("open", () => {
  showTransport(false);
  socket.io.engine.once("upgrade", () => showTransport(true));
});

socket.on("welcome", ({ node, sid, name, history }) => {
  state.node = node;
  if (!state.name) setName(name);
  messages.setSelf(node, sid);
  for (const message of history || []) messages.receive(message);
  showModes();
  if (state.returning) showReturn();
  state.returning = false;
  showConnection();
});

socket.on("chat message", (message) => {
  if (state.returning) state.missed += 1; // missed messages come before the welcome
  messages.receive(message);
  topology.travel(message?.node ?? OUTSIDE);
});

socket.on("presence", ({ count, nodes }) => {
  topology.setCounts(nodes || {});
  const parts = Object.entries(nodes || {}).map(([name, here]) => `${here} on node ${name}`);
  byTest("presence").textContent = `${count} ${count === 1 ? "person" : "people"}: ${parts.join(", ")}`;
  byTest("presence").dataset.count = String(count);
});

socket.on("bus", ({ ready, reasons, broker_pid }) => {
  showBus(ready, reasons || []);
  showBrokerPid(broker_pid);
});

// --- actions of the user --------------------------------------------------------------------------------------

function send(text) {
  const online = socket.connected;
  const entry = messages.post(text, state.name || "You", online ? "sending" : "waiting");
  const began = performance.now();
  socket.emit("chat message", text, (answer) => {
    const ms = online ? performance.now() - began : null;
    messages.acknowledge(entry, answer, ms);
    if (ms !== null) byTest("round-trip").textContent = formatMs(ms);
    showBrief();
  });
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (text) send(text);
  byId("text").value = "";
  byId("text").focus();
});

byId("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("composer").requestSubmit();
});

byId("nickname").addEventListener("change", (event) => {
  setName(event.target.value.trim() || state.name);
  introduce();
});

function setName(name) {
  state.name = name;
  byId("nickname").value = name;
  sessionStorage.setItem("zmqio-name", name);
}

byId("retry").addEventListener("click", () => socket.disconnect().connect());

/** Lose the connection without a goodbye, and return to the next node. */
byId("cut").addEventListener("click", () => {
  const index = config.nodes.findIndex((node) => node.name === state.node);
  const next = config.nodes[(index + 1) % config.nodes.length];
  if (next) socket.io.uri = next.url;
  socket.io.reconnectionDelay(AWAY_MS);
  socket.io.engine.close();
});

/** Reconnect with other transports, and put them into the address for a reload. */
function reconnectWith(mode) {
  state.mode = mode;
  state.switching = true;
  if (mode === "auto") query.delete("transport");
  else query.set("transport", mode);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  socket.disconnect();
  socket.io.opts.transports = [...TRANSPORTS[mode]];
  socket.connect();
  showModes();
}

for (const button of document.querySelectorAll("[data-mode]")) {
  button.addEventListener("click", () => reconnectWith(button.dataset.mode));
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const code = byId(button.dataset.copies);
    const done = await navigator.clipboard.writeText(code.textContent).then(() => true, () => false);
    if (!done) getSelection().selectAllChildren(code);
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
}

// --- display ---------------------------------------------------------------------------------------------

function showConnection() {
  const online = socket.connected;
  const status = byTest("status");
  status.dataset.state = online ? "online" : "offline";
  byId("status-text").textContent = online ? `Connected to node ${state.node}` : "Not connected";
  document.body.dataset.tint = String(tintOf(state.node));
  document.title = `node ${state.node} · zmqio demo`;
  byTest("node").textContent = `node ${state.node}`;
  byTest("sid").textContent = online ? socket.id : "–";
  byId("cut").disabled = !online;
  if (!online) byTest("transport").textContent = "–";
  if (!online) byTest("upgraded").textContent = "";
  if (!online) byTest("presence").textContent = "Unknown while disconnected";
  topology.setSelf(state.node);
  topology.setReachable(state.node, online);
  showBrief();
}

/** Show whether the session was recovered, and how many messages came back. */
function showReturn() {
  const { missed, node } = state;
  const came = missed === 1 ? "1 message" : `${missed} messages`;
  byTest("returned").textContent = socket.recovered
    ? `Returned to node ${node}. Recovered: yes, ${came} came back.`
    : `Returned to node ${node}. Recovered: no, this is a new session.`;
}

function showTransport(upgraded) {
  byTest("transport").textContent = socket.io.engine?.transport.name ?? "–";
  byTest("upgraded").textContent = upgraded ? "upgraded from polling" : "";
  showBrief();
}

function showBrief() {
  const facts = [`node ${state.node}`, byTest("transport").textContent, byTest("round-trip").textContent];
  byId("brief").textContent = facts.filter((fact) => fact !== "–").join(" · ");
}

function showBus(ready, reasons) {
  byTest("bus").hidden = ready;
  byTest("bus").dataset.reasons = reasons.join("; ");
  const why = reasons.length ? ` (${reasons.join("; ")})` : "";
  byId("bus-text").textContent = `The broker does not respond${why}. People on node ${state.node} still receive each other's messages.`;
  topology.setWire(state.node, ready);
}

/** The process changes when the demo restarts a broker that was killed. */
function showBrokerPid(pid) {
  byTest("broker-pid").textContent = pid ? `process ${pid}` : "";
  byId("kill").hidden = !pid;
  byId("kill-command").textContent = `kill -9 ${pid}`;
}

function explainOffline() {
  if (socket.connected) return;
  const refused = !socket.active && !REASONS[state.reason];
  const cause = refused ? `The node refused the connection: ${state.reason}.` : REASONS[state.reason] || "The node does not respond.";
  const next = socket.active
    ? `Reconnecting${state.attempt > 1 ? ` (attempt ${state.attempt})` : ""}. Your messages are sent once the node is back.`
    : "Your messages are sent once you reconnect.";
  byId("retry").textContent = socket.active ? "Try now" : "Reconnect";
  showOffline(`Not connected to node ${state.node}.`, `${cause} ${next}`);
}

function showOffline(title, text) {
  const banner = byTest("offline");
  banner.dataset.reason = state.reason;
  byId("offline-title").textContent = title;
  byId("offline-text").textContent = text;
  banner.hidden = false;
}

function hideOffline() {
  byTest("offline").hidden = true;
}

function showModes() {
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
  }
  byTest("elsewhere").replaceChildren(...config.nodes.filter((node) => node.name !== state.node).map(linkTo));
}

function linkTo(node) {
  const link = document.createElement("a");
  const mode = state.mode === "auto" ? "" : `?transport=${state.mode}`;
  link.href = new URL(`/${mode}`, node.url).href;
  link.target = "_blank";
  link.rel = "noopener";
  link.className = "elsewhere";
  link.dataset.tint = String(tintOf(node.name));
  link.dataset.testid = `open-${node.name}`;
  link.textContent = `Open this page on node ${node.name}`;
  return link;
}

/** The panel is open beside the chat on wide screens, and folded above it on a phone. */
function placePanel() {
  const wide = matchMedia("(min-width: 56rem)");
  const place = () => { byId("panel").open = wide.matches; };
  wide.addEventListener("change", place);
  place();
}

function showStatic() {
  byTest("version").textContent = config.version;
  byTest("broker-address").textContent = config.broker || "–";
  byId("broker-address").textContent = config.broker;
  byId("nickname").value = state.name;
  const value = `'{"text":"hello from the shell","from":"shell"}'`;
  byId("command").textContent = `${config.program} emit --adapter ${config.broker} --to lobby "chat message" ${value}`;
}

placePanel();
showStatic();
showModes();
showConnection();
introduce();
