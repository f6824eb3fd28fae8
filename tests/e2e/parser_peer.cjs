// Decodes and encodes with the npm parsers. One JSON array of cases on stdin, one array of results on stdout.
// A case is {parser: "json" | "msgpack", decode: [frame...]} or {parser, encode: packet}.
// Binary is {"$hex": "..."} in both directions.
const { createRequire } = require("node:module");
const path = require("node:path");

const load = createRequire(path.join(process.env.ZMQIO_NODE_MODULES, "from-here.js"));
const parsers = { json: load("socket.io-parser"), msgpack: load("socket.io-msgpack-parser") };

function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === "$hex") return Buffer.from(value.$hex, "hex");
  return Object.fromEntries(keys.map((key) => [key, revive(value[key])]));
}

function describe(value) {
  if (Buffer.isBuffer(value)) return { $hex: value.toString("hex") };
  if (Array.isArray(value)) return value.map(describe);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, describe(item)]));
}

function decode(parser, frames) {
  const decoder = new parser.Decoder();
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(packet));
  try {
    for (const frame of frames) decoder.add(frame);
  } catch (error) {
    return { error: error.message };
  }
  return { packets: packets.map(describe) };
}

function run(item) {
  const parser = parsers[item.parser];
  if (item.decode) return decode(parser, revive(item.decode));
  return { frames: new parser.Encoder().encode(revive(item.encode)).map(describe) };
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => {
  const cases = JSON.parse(Buffer.concat(chunks).toString());
  process.stdout.write(JSON.stringify(cases.map(run)));
});
