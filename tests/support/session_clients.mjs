// Official socket.io-client clients under load, which watch their own sessions. Started as:
// node session_clients.mjs FOLDER_WITH_NODE_MODULES; one JSON command a line on stdin, one JSON report a line on stdout.
//
// {op: "open", url, first, count, spread}      connect clients first..first+count-1; even ones poll, odd ones upgrade;
//                                              with `spread` each comes from a network of its own (127.0.N.1)
// {op: "talk", messages, window, pace_ms}      each sends numbered messages: at most `window` of them unacknowledged,
//                                              up to 2 * pace_ms between two; null for messages: until "finish"
// {op: "finish"}                               send no more
//
// {kind: "home", client, pid}                  a client is on that server process now
// {kind: "acked", total, unknown_sessions}     so far, of all clients of this process (ten times a second)
// {kind: "end", clients: [...]}                every client has all its acknowledgements; what each saw
import { Agent } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "any.js"));
const { io } = require("socket.io-client");

const ACK = 3; // Socket.IO protocol 5
const TAIL_MS = 10_000; // how long the partner's last messages may take; reached only when some are lost
const MOST_WORDS = 5; // of each client, about what is wrong
const write = (report) => process.stdout.write(JSON.stringify(report) + "\n");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Client {
  constructor(index, { url, spread }) {
    this.index = index;
    this.seen = {
      client: index, way: index % 2 ? "upgrade" : "polling", acked: 0, received: 0, lost: 0, doubled: 0, disorder: 0,
      unknown_sessions: 0, resent: 0, slowest_ms: 0, disconnects: [], disconnected_at: [], refusals: [], upgrade_errors: [], homes: [], sids: [],
      upgraded: false, wrong: [],
    };
    this.waiting = new Map(); // number -> resolve
    this.received = new Map(); // speaker's sid -> its last number
    const localAddress = spread ? `127.0.${1 + (index % 250)}.1` : undefined;
    this.socket = io(url, {
      agent: new Agent({ localAddress, keepAlive: true }),
      auth: { pair: `pair-${index >> 1}` },
      forceNew: true,
      transports: index % 2 ? ["polling", "websocket"] : ["polling"],
    });
    this.watch();
  }

  watch() {
    const { seen, socket } = this;
    const acks = new Set();
    this.connected = new Promise((resolve) => socket.on("welcome", (pid) => {
      seen.homes.push(pid);
      write({ kind: "home", client: this.index, pid });
      resolve();
    }));
    socket.on("connect", () => {
      seen.sids.push(socket.io.engine.id);
      acks.clear();
      this.received.clear();
      this.settle();
      this.watchUpgrade(socket.io.engine);
    });
    socket.on("disconnect", (reason, details) => {
      seen.disconnects.push(reason);
      seen.disconnected_at.push(Date.now() / 1000);
      this.note(details);
    });
    socket.on("connect_error", (error) => {
      seen.refusals.push(error.message);
      this.note(error);
    });
    // The library takes the first acknowledgement of an id and drops others in silence.
    socket.io.on("packet", (packet) => {
      if (packet.type !== ACK) return;
      if (acks.has(packet.id)) this.fault("doubled", 1, `acknowledgement ${packet.id} came again`);
      acks.add(packet.id);
    });
    socket.on("received", (speaker, number) => this.hear(speaker, number));
  }

  // Adds what the server has counted for a connection that is over.
  settle() {
    const { doubled = 0, missing = 0, disorder = 0 } = this.counted ?? {};
    this.fault("doubled", doubled, `the server got ${doubled} messages again`);
    this.fault("lost", missing, `the server did not get ${missing} messages`);
    this.fault("disorder", disorder, `the server got ${disorder} messages late`);
    this.counted = undefined;
  }

  fault(kind, count, words) {
    if (count === 0) return;
    this.seen[kind] += count;
    if (this.seen.wrong.length < MOST_WORDS) this.seen.wrong.push(`client ${this.index} (${this.seen.way}): ${words}`);
  }

  watchUpgrade(engine) {
    if (engine.transport.name === "websocket") this.seen.upgraded = true;
    engine.on("upgrade", () => { this.seen.upgraded = true; });
    engine.on("upgradeError", (error) => this.seen.upgrade_errors.push(String(error.message ?? error)));
  }

  note(details) {
    if (String(details?.context?.responseText ?? "").includes("Session ID unknown")) this.seen.unknown_sessions += 1;
  }

  // What the partner says comes without a hole while neither of the two has changed its connection.
  hear(speaker, number) {
    const last = this.received.get(speaker);
    this.seen.received += 1;
    if (last !== undefined && number <= last) this.fault("doubled", 1, `${speaker} said ${number} after ${last}`);
    if (last !== undefined && number > last + 1) {
      this.fault("lost", number - last - 1, `${speaker} said ${number} after ${last}`);
    }
    this.received.set(speaker, Math.max(last ?? number, number));
  }

  async talk({ messages, window, pace_ms }) {
    const open = new Set();
    for (let number = 0; messages === null ? !finished : number < messages; number += 1) {
      if (open.size >= window) await Promise.race(open);
      const sent = this.say(number).then(() => open.delete(sent));
      open.add(sent);
      if (pace_ms) await pause(2 * pace_ms * Math.random());
    }
    await Promise.all(open);
  }

  // Sends until it is acknowledged: again only on a new connection, after the old one has ended.
  async say(number) {
    for (;;) {
      try {
        const began = performance.now();
        const answer = await this.socket.timeout(60_000).emitWithAck("say", number);
        this.seen.slowest_ms = Math.max(this.seen.slowest_ms, performance.now() - began);
        this.check(number, answer);
        return;
      } catch (error) {
        if (!/disconnected/.test(error.message)) {
          this.fault("lost", 1, `no acknowledgement of ${number} on a connection that lives`);
          return;
        }
        this.seen.resent += 1;
      }
    }
  }

  check(number, [echoed, doubled, missing, disorder]) {
    this.fault("disorder", echoed === number ? 0 : 1, `${number} was acknowledged as ${echoed}`);
    this.seen.acked += 1;
    acked += 1;
    this.counted = { doubled, missing, disorder }; // by the server, for this connection, up to now
  }

  async end(messages) {
    const { seen } = this;
    const deadline = Date.now() + TAIL_MS;
    const partner = clients.get(this.index ^ 1);
    const steady = () => seen.disconnects.length + (partner?.seen.disconnects.length ?? 0) === 0;
    while (messages !== null && partner && steady() && seen.received < messages && Date.now() < deadline) await pause(20);
    if (messages !== null && partner && steady()) {
      const missing = messages - 1 - Math.max(-1, ...this.received.values());
      this.fault("lost", missing, `the last ${missing} of its partner did not come`);
    }
    this.settle();
    return seen;
  }
}

const clients = new Map();
let finished = false;
let acked = 0;

const operations = {
  open({ first, count, ...options }) {
    for (let index = first; index < first + count; index += 1) clients.set(index, new Client(index, options));
  },
  async talk(options) {
    await Promise.all([...clients.values()].map((client) => client.talk(options)));
    const ends = await Promise.all([...clients.values()].map((client) => client.end(options.messages)));
    write({ kind: "end", clients: ends });
  },
  finish() {
    finished = true;
  },
};

setInterval(() => {
  const unknown = [...clients.values()].reduce((sum, client) => sum + client.seen.unknown_sessions, 0);
  write({ kind: "acked", total: acked, unknown_sessions: unknown });
}, 100);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { op, ...options } = JSON.parse(line);
  operations[op](options);
});
lines.on("close", () => process.exit(0));
write({ kind: "ready" });
