// Official clients that lose their connection again and again, return to any node, and keep a ledger of every event.
// Started as: node clients.mjs FOLDER_WITH_NODE_MODULES {"clients", "breaks", "urls", "pause_ms"}; prints one JSON line.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "any.js"));
const { Manager } = require("socket.io-client");
const options = JSON.parse(process.argv[3]);
const total = { events: 0, connects: 0, recovered: 0, not_recovered: 0, gaps: 0, missing: 0, twice: 0, refused: 0, slowest_ms: 0 };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const any = (list) => list[Math.floor(Math.random() * list.length)];

async function run(number) {
  const transports = number % 2 ? ["websocket"] : ["polling"];
  const manager = new Manager(any(options.urls), { autoConnect: false, reconnection: false, transports, forceNew: true });
  const socket = manager.socket("/", { auth: { number } });
  const last = new Map(); // publisher and series -> last number
  let held = null; // events that came before the state of the new connection
  let settled = () => {};
  const take = (node, series, n) => {
    const key = `${node} ${series}`;
    const before = last.get(key);
    total.events += 1;
    if (before !== undefined && n <= before) total.twice += 1;
    else if (before !== undefined && n > before + 1) total.missing += n - before - 1;
    if (before === undefined || n > before) last.set(key, n);
  };
  socket.on("connect", () => (held = held ?? []));
  socket.on("n", (node, series, n) => (held ? held.push([node, series, n]) : take(node, series, n)));
  socket.on("state", (recovered, gaps) => {
    total.connects += 1;
    if (total.first?.has(number)) total[recovered ? "recovered" : "not_recovered"] += 1;
    (total.first ??= new Set()).add(number);
    if (!recovered) last.clear();
    total.gaps += gaps.length ? 1 : 0;
    for (const node of gaps) for (const key of [...last.keys()]) if (key.startsWith(node)) last.delete(key);
    const events = held ?? [];
    held = null;
    events.forEach((event) => take(...event));
    settled();
  });
  const connect = async () => {
    for (let attempt = 0; attempt < 200; attempt++) {
      held = [];
      const state = new Promise((resolve) => (settled = () => resolve(true)));
      manager.uri = any(options.urls);
      socket.connect();
      const failed = new Promise((resolve) => {
        manager.once("error", () => resolve(false));
        socket.once("connect_error", () => resolve(false));
        socket.once("disconnect", () => resolve(false));
      });
      if (await Promise.race([state, failed, sleep(20000)])) return;
      total.refused += 1;
      await sleep(100 + 200 * Math.random());
    }
    throw new Error("a client found no server");
  };
  await sleep(Math.random() * options.pause_ms);
  await connect();
  for (let turn = 0; turn < options.breaks; turn++) {
    await sleep(options.pause_ms * (0.5 + Math.random()));
    const lost = new Promise((resolve) => (socket.connected ? socket.once("disconnect", resolve) : resolve()));
    const { transport } = manager.engine;
    if (transport.ws) transport.ws.terminate();
    else if (socket.connected) {
      transport.readyState = "closed";
      transport.pollXhr?.abort();
      transport.onError("connection lost");
    }
    await lost;
    await sleep(Math.random() * options.away_ms);
    const began = Date.now();
    await connect();
    total.slowest_ms = Math.max(total.slowest_ms, Date.now() - began);
  }
  await sleep(1000);
  socket.disconnect();
}

await Promise.all(Array.from({ length: options.clients }, (_, number) => run(number)));
delete total.first;
process.stdout.write(JSON.stringify(total) + "\n");
process.exit(0);
