// The official engine.io-client, told on its command line what to do; writes one JSON line when it is done.
// Arguments: the folder node_modules, the server's URL, and a JSON object of options:
//   transports, upgrade: of the client; total: how many numbered messages to send and to expect.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, rawOptions] = process.argv.slice(2);
const require = createRequire(pathToFileURL(modules + "/").href);
const { Socket } = require("engine.io-client");
const options = JSON.parse(rawOptions);

const received = [];
const events = [];
const socket = new Socket(url, { path: "/socket.io/", transports: options.transports });
socket.on("upgrade", () => events.push("upgrade after " + received.length));
socket.on("upgradeError", (error) => events.push("upgradeError " + error.message));
socket.on("message", (data) => {
  received.push(data);
  if (received.length === options.total) finish();
});
socket.on("close", (reason) => events.push("close " + reason));

let sent = 0;
function sendSome() {
  for (let i = 0; i < 5 && sent < options.total; i++) socket.send("c" + sent++);
  if (sent < options.total) setTimeout(sendSome, 1);
  else finish();
}
socket.on("open", sendSome);

function finish() {
  if (sent < options.total || received.length < options.total) return;
  const result = { received, events, transport: socket.transport.name };
  const done = () => {
    console.log(JSON.stringify(result));
    socket.close();
  };
  socket.writeBuffer.length ? socket.once("drain", done) : done();
}
