// Publish from Node.js.  npm install && node publish.mjs [tcp://127.0.0.1:5558]
// For a broker that requires keys: node publish.mjs tcp://127.0.0.1:5558 broker.key sender.key_secret
//
// `immediate` and `sendTimeout` turn a missing broker into an error (EAGAIN after 2 s). `linger` gives queued messages
// 2 s to be sent before the program exits. With ZeroMQ's defaults `send` succeeds and the message is lost at exit.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { encode } from "@msgpack/msgpack";
import { Push } from "zeromq";

const [ingest = "tcp://127.0.0.1:5558", serverFile, secretFile] = process.argv.slice(2);
const keys = serverFile && {
  curveServerKey: readKey(serverFile, "public"),
  curvePublicKey: readKey(secretFile, "public"),
  curveSecretKey: readKey(secretFile, "secret"),
};
const push = new Push({ immediate: true, sendTimeout: 2000, linger: 2000, ...keys });
push.connect(ingest);

// The line `public-key = "..."` or `secret-key = "..."` of a key file.
function readKey(file, name) {
  return readFileSync(file, "utf8").match(new RegExp(`${name}-key = "([^"]{40})"`))[1];
}

function frame(topic, body) {
  return Buffer.concat([Buffer.from(topic), Buffer.from(body)]);
}

try {
  // JSON, to all clients in the namespace "/".
  const toAll = { event: "news", args: ["JSON from Node.js"], id: randomUUID() };
  await push.send(frame("zmqio/n//\0", JSON.stringify(toAll)));

  // msgpack, which can contain bytes, to the room "lobby" of the namespace "/".
  const args = ["msgpack from Node.js", Uint8Array.of(0, 1, 255)];
  await push.send(frame("zmqio/r//\0lobby\0", encode({ event: "news", args, rooms: ["lobby"], id: randomUUID() })));
} catch (error) {
  console.error(`not sent: no broker at ${ingest} accepted it within 2 s (${error.code})`);
  process.exitCode = 1;
} finally {
  push.close();
}
