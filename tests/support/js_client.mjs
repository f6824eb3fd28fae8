// Drives many official socket.io-client clients: one JSON command a line on stdin, one JSON report a line on
// stdout. Started as: node js_client.mjs FOLDER_WITH_NODE_MODULES
//
// Commands {id, op, ...} are answered by {id, result} or {id, error}. What clients hear is reported by itself:
// {client, kind: "connect" | "connect_error" | "disconnect" | "upgrade" | "event", ...}.
// Binary values travel as {"$bin": base64}.
import { Agent } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "any.js"));
const { io, Manager } = require("socket.io-client");

const managers = new Map(); // connection name -> Manager
const clients = new Map(); // client name -> Socket
const mute = new Set(); // clients that do not acknowledge

const write = (report) => process.stdout.write(JSON.stringify(report) + "\n");

function pack(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return { $bin: Buffer.from(value).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(pack);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pack(inner)]));
  }
  return value === undefined ? null : value;
}

function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value !== null && typeof value === "object") {
    if ("$bin" in value) return Buffer.from(value.$bin, "base64");
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unpack(inner)]));
  }
  return value;
}

function listen(name, socket) {
  socket.on("connect", () => {
    write({ client: name, kind: "connect", sid: socket.id, recovered: socket.recovered, transport: socket.io.engine.transport.name });
  });
  socket.on("connect_error", (error) => {
    write({ client: name, kind: "connect_error", message: error.message, data: pack(error.data) });
  });
  socket.on("disconnect", (reason) => write({ client: name, kind: "disconnect", reason }));
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    write({ client: name, kind: "event", event, args: pack(args) });
    if (ack && !mute.has(name)) ack(...args);
  });
}

const operations = {
  // A client on a connection of its own, or with `shares` on that of another client (another namespace).
  // `localAddress`: it keeps its connections as a browser does, and all of them come from that address.
  open({ client, url, namespace, auth, shares, options: { localAddress, ...options } }) {
    if (localAddress) options.agent = new Agent({ localAddress, keepAlive: true });
    const manager = shares ? clients.get(shares).io : new Manager(url, { autoConnect: false, reconnection: false, ...options });
    const socket = manager.socket(namespace, { auth });
    managers.set(client, manager);
    clients.set(client, socket);
    listen(client, socket);
    socket.connect();
    if (!shares) {
      socket.io.engine.on("upgrade", (transport) => {
        write({ client, kind: "upgrade", transport: transport.name });
      });
    }
  },
  emit({ client, event, args }) {
    clients.get(client).emit(event, ...unpack(args));
  },
  call({ client, event, args, timeout_ms }) {
    return new Promise((resolve, reject) => {
      clients.get(client).timeout(timeout_ms).emit(event, ...unpack(args), (error, ...answer) => {
        if (error) reject(error);
        else resolve(pack(answer));
      });
    });
  },
  mute({ client }) {
    mute.add(client);
  },
  // Enter the namespace again after a refusal, on the same connection.
  retry({ client, auth }) {
    clients.get(client).auth = auth;
    clients.get(client).connect();
  },
  stop_pongs({ client }) {
    const { engine } = clients.get(client).io;
    const send = engine._sendPacket;
    engine._sendPacket = function (type, ...rest) {
      if (type !== "pong") send.call(this, type, ...rest);
    };
  },
  // The WebSocket extensions in use, as in the header of that name.
  extensions({ client }) {
    return clients.get(client).io.engine.transport.ws.extensions;
  },
  transport({ client }) {
    return clients.get(client).io.engine?.transport?.name ?? null;
  },
  disconnect({ client }) {
    clients.get(client).disconnect();
  },
  // Loses the connection without notice to the server, and stays away.
  lose({ client }) {
    const { transport } = managers.get(client).engine;
    const lost = new Promise((resolve) => clients.get(client).once("disconnect", () => resolve()));
    if (transport.ws) {
      transport.ws.terminate();
    } else {
      transport.readyState = "closed"; // so that it sends no close packet
      transport.pollXhr?.abort();
      transport.onError("connection lost");
    }
    return lost;
  },
  // Returns on a new connection, perhaps to another server.
  return_to({ client, url }) {
    managers.get(client).uri = url;
    clients.get(client).connect();
  },
  // Ends the connection under all clients that share it, as a page does that is closed.
  close({ client }) {
    managers.get(client)?.reconnection(false); // one that comes back by itself has to stay away now
    managers.get(client)?.engine?.close();
    clients.delete(client);
    managers.delete(client);
    mute.delete(client);
  },
};

async function run(line) {
  const { id, op, ...command } = JSON.parse(line);
  try {
    write({ id, result: (await operations[op](command)) ?? null });
  } catch (error) {
    write({ id, error: String(error?.stack ?? error) });
  }
}

write({ kind: "ready", version: require("socket.io-client/package.json").version, node: process.version });
const lines = createInterface({ input: process.stdin });
lines.on("line", run);
lines.on("close", () => process.exit(0));
