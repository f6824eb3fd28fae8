// A JavaScript node: the same orders as `app_zmqio.py`. `node node_server.cjs PORT REDIS_URL [sharded]`
const { createServer } = require("node:http");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");

const [port, address, kind] = process.argv.slice(2);
const SLICE = 50;
const OVERHEAD = '42["m",""]'.length;
const turn = () => new Promise(setImmediate);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// hrtime is CLOCK_MONOTONIC.
const stamped = (size) => String(process.hrtime.bigint()).padEnd(size - OVERHEAD, "x");

async function flood(io, room, count, size, perSecond) {
  let due = performance.now();
  for (let number = 0; number < count; number++) {
    if (size) io.to(room).emit("m", stamped(size));
    if (perSecond) {
      due += 1000 / perSecond;
      const left = due - performance.now();
      await (left > 0 ? sleep(left) : turn());
    } else if (number % SLICE === 0) {
      await turn();
    }
  }
}

async function main() {
  const pub = createClient({ url: address });
  const sub = pub.duplicate();
  await Promise.all([pub.connect(), sub.connect()]);
  const adapter = kind === "sharded" ? createShardedAdapter(pub, sub) : createAdapter(pub, sub);
  const httpServer = createServer();
  const io = new Server(httpServer, {
    perMessageDeflate: false,
    serveClient: false,
    pingInterval: 600_000,
    adapter,
  });
  io.on("connection", (socket) => {
    socket.on("join", async (room, answer) => {
      await socket.join(room);
      answer();
    });
    socket.on("flood", async (room, count, size, perSecond, answer) => {
      await flood(io, room, count, size, perSecond);
      answer();
    });
    socket.on("say", (number, answer) => {
      io.emit("said", number);
      answer();
    });
  });
  httpServer.listen(Number(port), "127.0.0.1");
}

main();
