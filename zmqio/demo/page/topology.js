/**
 * The diagram of nodes and broker, with a dot that travels along the route of each message.
 *
 * Knows boxes, wires and node names; does not know sockets. All text is set with textContent.
 */

const HOP_MS = 480;
const LIT_MS = 700;
/** Most dots at once; during a flood of messages, further ones are not drawn. */
const MAX_DOTS = 24;
/** The name that `travel` uses for a sender outside the nodes. */
export const OUTSIDE = "outside";

const SVG = "http://www.w3.org/2000/svg";
const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Draw the diagram inside `root`. `nodes` is `[{name, url}]`; its order determines the colours. */
export function createTopology(root, nodes) {
  const wires = root.querySelector(".wires");
  const broker = root.querySelector(".broker");
  const boxes = new Map([[OUTSIDE, root.querySelector(".outside")]]);
  const paths = new Map();
  let passes = 0;

  nodes.forEach((node, index) => {
    const side = index < Math.ceil(nodes.length / 2) ? "left" : "right";
    const box = nodeBox(node, index);
    root.querySelector(`[data-side="${side}"]`).append(box);
    boxes.set(node.name, box);
  });
  for (const name of boxes.keys()) {
    const path = document.createElementNS(SVG, "path");
    path.dataset.wire = name;
    wires.append(path);
    paths.set(name, path);
  }
  const draw = () => drawWires(root, broker, boxes, paths);
  new ResizeObserver(draw).observe(root);

  return {
    /** Mark the node that this page is connected to. */
    setSelf(name) {
      for (const [key, box] of boxes) box.classList.toggle("self", key === name);
      draw();
    },
    /** Show the number of connections of each node: `{name: count}`. */
    setCounts(counts) {
      for (const [name, box] of boxes) {
        if (name !== OUTSIDE) showCount(box, Number(counts[name]) || 0);
      }
    },
    /** Draw the wire between a node and the broker as intact or broken. */
    setWire(name, intact) {
      paths.get(name)?.classList.toggle("broken", !intact);
      broker.classList.toggle("away", !intact);
    },
    /** Draw a node's box as reachable from this page or not. */
    setReachable(name, reachable) {
      boxes.get(name)?.classList.toggle("away", !reachable);
    },
    /** Animate a message from a node (or OUTSIDE) through the broker to every other node. */
    async travel(from) {
      if (!boxes.has(from)) return;
      const targets = nodes.map((node) => node.name).filter((name) => name !== from);
      passes += 1;
      root.dataset.passes = String(passes);
      root.dataset.path = `${from}>broker>${targets.join(",")}`;
      light(boxes.get(from));
      if (paths.get(from).classList.contains("broken")) return;
      await hop(wires, paths.get(from), boxes.get(from), false);
      light(broker);
      const open = targets.filter((name) => !paths.get(name).classList.contains("broken"));
      await Promise.all(open.map(async (name) => {
        await hop(wires, paths.get(name), boxes.get(from), true);
        light(boxes.get(name));
      }));
    },
  };
}

function nodeBox(node, index) {
  const box = document.createElement("li");
  box.className = "box node";
  box.dataset.testid = `node-${node.name}`;
  box.dataset.tint = String(index % 4);
  box.append(
    part("span", "letter", node.name.slice(0, 2)),
    part("strong", "", `node ${node.name}`),
    part("span", "where", hostOf(node.url)),
    part("span", "count", ""),
    part("span", "you", "you are here"),
  );
  box.querySelector(".letter").setAttribute("aria-hidden", "true");
  showCount(box, 0);
  return box;
}

function part(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function showCount(box, count) {
  box.dataset.count = String(count);
  box.querySelector(".count").textContent = `${count} connected`;
}

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return String(url);
  }
}

/** Draw a path from each box's edge to the broker's edge, in pixels relative to `root`. */
function drawWires(root, broker, boxes, paths) {
  const frame = root.getBoundingClientRect();
  const hub = broker.getBoundingClientRect();
  const hubX = hub.left + hub.width / 2 - frame.left;
  const hubY = hub.top + hub.height / 2 - frame.top;
  for (const [name, box] of boxes) {
    const own = box.getBoundingClientRect();
    const y = own.top + own.height / 2 - frame.top;
    if (name === OUTSIDE) {
      paths.get(name).setAttribute("d", `M${hubX},${own.top - frame.top}L${hubX},${hub.bottom - frame.top}`);
      continue;
    }
    const left = own.left < hub.left;
    const startX = (left ? own.right : own.left) - frame.left;
    const endX = (left ? hub.left : hub.right) - frame.left;
    const bend = (startX + endX) / 2;
    paths.get(name).setAttribute("d", `M${startX},${y}C${bend},${y} ${bend},${hubY} ${endX},${hubY}`);
  }
}

/** Move a dot along a wire, to the broker or (`back`) from it. With reduced motion, only light the wire. */
async function hop(wires, path, source, back) {
  light(path);
  if (reducedMotion.matches || document.hidden || wires.querySelectorAll("circle").length >= MAX_DOTS) return;
  const length = path.getTotalLength();
  const steps = Array.from({ length: 13 }, (_, step) => {
    const point = path.getPointAtLength(length * (back ? 12 - step : step) / 12);
    return { transform: `translate(${point.x}px, ${point.y}px)` };
  });
  const dot = document.createElementNS(SVG, "circle");
  dot.setAttribute("r", "6");
  if (source.dataset.tint) dot.dataset.tint = source.dataset.tint;
  wires.append(dot);
  try {
    await dot.animate(steps, { duration: HOP_MS, easing: "ease-in-out", fill: "both" }).finished;
  } finally {
    dot.remove();
  }
}

const dimming = new WeakMap();

function light(element) {
  element.classList.add("lit");
  clearTimeout(dimming.get(element));
  dimming.set(element, setTimeout(() => element.classList.remove("lit"), LIT_MS));
}
