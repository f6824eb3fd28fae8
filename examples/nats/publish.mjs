// Publish to all clients without any library: NATS is a text protocol over TCP.
//
//     node examples/nats/publish.mjs 127.0.0.1 4222 [user password]
//
// With a client of NATS (npm install @nats-io/transport-node), it is
//     const nc = await connect({ servers: "127.0.0.1:4222" });
//     nc.publish("zmqio.n._", JSON.stringify({ event: "news", args: ["hello"] }));
//     await nc.drain();
import { createConnection } from "node:net";

const [host, port, user, pass] = process.argv.slice(2);
const request = JSON.stringify({ event: "news", args: ["from Node.js"] });
const size = Buffer.byteLength(request);
const options = JSON.stringify({ verbose: false, user, pass });

const socket = createConnection({ host, port: Number(port) });
let received = "";
socket.on("connect", () => socket.write(`CONNECT ${options}\r\nPUB zmqio.n._ ${size}\r\n${request}\r\nPING\r\n`));
socket.on("data", (data) => {
  received += data;
  // The server answers PING after it has handled PUB.
  if (received.includes("-ERR")) socket.destroy(new Error(received.split("-ERR")[1].trim()));
  else if (received.includes("PONG")) socket.end();
});
socket.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
