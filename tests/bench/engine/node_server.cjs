// The JavaScript server under test: the same events as `app_zmqio.py`.
// `node --expose-gc node_server.cjs PORT [REDIS_URL]`; with Redis it is one node of several.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const httpServer = createServer();
const io = new Server(httpServer, { perMessageDeflate: false, serveClient: false });
const turn = () => new Promise(setImmediate);
let orders = Promise.resolve();

const payload = (sequence, size) => String(sequence).padStart(8, "0").padEnd(size - '42["m",""]'.length, "x");

async function broadcast(count, size, first) {
  for (let sequence = first; sequence < first + count; sequence++) {
    io.to("room").emit("m", payload(sequence, size));
    await turn();
  }
}

io.on("connection", (socket) => {
  socket.join("room");
  socket.on("go", (count, size, first) => {
    orders = orders.then(() => broadcast(count, size, first));
  });
  socket.on("echo", (text, answer) => answer(text));
  socket.on("collect", (count, size, first, answer) => {
    globalThis.gc();
    answer();
  });
});

async function main() {
  const [port, address] = process.argv.slice(2);
  if (address) {
    const pub = require("redis").createClient({ url: address });
    const sub = pub.duplicate();
    await Promise.all([pub.connect(), sub.connect()]);
    io.adapter(require("@socket.io/redis-adapter").createAdapter(pub, sub));
  }
  httpServer.listen(Number(port), "127.0.0.1");
}

main();
