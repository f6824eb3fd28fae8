// Official clients that lose their connections, return to any node, and keep a ledger of every event.
// Started as: node clients.mjs FOLDER_WITH_NODE_MODULES OPTIONS; prints lines of JSON: {"kind": "ready"} once all are
// connected, {"kind": "progress", ...} every second, and {"kind": "end", ...} at the end, or at SIGTERM: the ledger so far.
// OPTIONS: {"mode", "first", "clients", "breaks", "urls", "urls_after", "pause_ms", "away_ms", "transports", "connect_ms"}.
//   breaks  each client loses its connection at times of its own, and is away for up to away_ms
//   drops   all lose their connections together, for away_ms, every pause_ms
//   stop    all wait until their node stops, and return to urls_after as official clients do: after 0.5 to 1.5 s
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "any.js"));
const { Manager } = require("socket.io-client");
const options = JSON.parse(process.argv[3]);
const total = {
  events: 0, connects: 0, recovered: 0, not_recovered: 0, gaps: 0, missing: 0, twice: 0, refused: 0, slowest_ms: 0, sent: 0, delivered: 0,
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let idle; // CPU time until all were connected
const write = (kind, done) => {
  const { user, system } = process.cpuUsage(idle);
  process.stdout.write(`${JSON.stringify({ kind, ...total, cpu_ms: (user + system) / 1000 })}\n`, done);
};
const any = (list) => list[Math.floor(Math.random() * list.length)];

class Client {
  constructor(number) {
    this.number = number;
    this.last = new Map(); // node and series -> last number, forgotten if the client is told of a loss
    this.seen = new Map(); // node and series -> [first number, last number, how many], never forgotten
    this.held = null; // events that came before the state of the new connection
    this.connects = 0;
    this.settled = () => {};
    const transports = [options.transports[number % options.transports.length]];
    this.manager = new Manager(any(options.urls), { autoConnect: false, reconnection: false, transports, forceNew: true });
    this.socket = this.manager.socket("/", { auth: { number } });
    this.socket.on("connect", () => { this.held = this.held ?? []; });
    this.socket.on("n", (node, series, n) => (this.held ? this.held.push([node, series, n]) : this.take(node, series, n)));
    this.socket.on("state", (recovered, gaps) => this.begin(recovered, gaps));
  }

  take(node, series, n) {
    const key = `${node} ${series}`;
    const before = this.last.get(key);
    total.events += 1;
    if (before !== undefined && n <= before) {
      total.twice += 1;
      return;
    }
    if (before !== undefined) total.missing += n - before - 1;
    this.last.set(key, n);
    const seen = this.seen.get(key);
    if (seen) this.seen.set(key, [seen[0], n, seen[2] + 1]);
    else this.seen.set(key, [n, n, 1]);
  }

  begin(recovered, gaps) {
    total.connects += 1;
    if (this.connects > 0) total[recovered ? "recovered" : "not_recovered"] += 1;
    this.connects += 1;
    if (!recovered) this.last.clear();
    total.gaps += gaps.length ? 1 : 0;
    for (const node of gaps) for (const key of [...this.last.keys()]) if (key.startsWith(node)) this.last.delete(key);
    const events = this.held ?? [];
    this.held = null;
    events.forEach((event) => this.take(...event));
    this.settled();
  }

  async connect(urls) {
    for (let attempt = 0; attempt < 200; attempt++) {
      this.held = [];
      const state = new Promise((resolve) => { this.settled = () => resolve(true); });
      this.manager.uri = any(urls);
      this.socket.connect();
      const failed = new Promise((resolve) => {
        this.manager.once("error", () => resolve(false));
        this.socket.once("connect_error", () => resolve(false));
        this.socket.once("disconnect", () => resolve(false));
      });
      if (await Promise.race([state, failed, sleep(20000)])) return;
      total.refused += 1;
      await sleep(100 + 200 * Math.random());
    }
    throw new Error("a client found no server");
  }

  async lose() {
    const lost = this.lost();
    const { transport } = this.manager.engine;
    if (transport.ws) transport.ws.terminate();
    else if (this.socket.connected) {
      transport.readyState = "closed";
      transport.pollXhr?.abort();
      transport.onError("connection lost");
    }
    await lost;
  }

  lost() {
    return new Promise((resolve) => (this.socket.connected ? this.socket.once("disconnect", resolve) : resolve()));
  }

  async returnAfter(ms, urls, lostAt = Date.now() + ms) {
    await sleep(ms);
    await this.connect(urls);
    total.slowest_ms = Math.max(total.slowest_ms, Date.now() - lostAt);
  }

  end() {
    for (const [first, last, count] of this.seen.values()) {
      total.sent += last - first + 1;
      total.delivered += count;
    }
    this.socket.disconnect();
  }
}

const modes = {
  async breaks(client) {
    for (let turn = 0; turn < options.breaks; turn++) {
      await sleep(options.pause_ms * (0.5 + Math.random()));
      await client.lose();
      await client.returnAfter(Math.random() * options.away_ms, options.urls);
    }
  },
  async drops(client) {
    const began = Date.now();
    for (let turn = 1; turn <= options.breaks; turn++) {
      await sleep(Math.max(0, began + turn * options.pause_ms - Date.now()));
      await client.lose();
      await client.returnAfter(options.away_ms, options.urls);
    }
  },
  async stop(client) {
    await client.lost();
    await client.returnAfter(500 + 1000 * Math.random(), options.urls_after, Date.now());
    await sleep(options.pause_ms);
  },
};

const clients = Array.from({ length: options.clients }, (_, index) => new Client(options.first + index));
await Promise.all(clients.map(async (client) => {
  await sleep(Math.random() * options.connect_ms);
  await client.connect(options.urls);
}));
idle = process.cpuUsage();
write("ready");
const progress = setInterval(() => write("progress"), 1000);
const stopped = new Promise((resolve) => process.once("SIGTERM", resolve));
const done = Promise.all(clients.map((client) => modes[options.mode](client))).then(() => sleep(2000));
await Promise.race([done, stopped]);
clearInterval(progress);
clients.forEach((client) => client.end());
write("end", () => process.exit(0));
