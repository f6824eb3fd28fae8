/**
 * The list of messages: their text, sender, node and route.
 *
 * Knows the fields of a message and how to draw it; does not know sockets. Text from others is always set with
 * textContent.
 */

/** Most messages on the page. Older ones are removed, so that a long-lived tab stays small. */
const MAX_MESSAGES = 400;
/** Within this distance of the end (pixels), the list scrolls with new messages. */
const FOLLOW_PX = 80;

const STATES = {
  waiting: "queued until the node is back",
  sending: "sending…",
  delivered: "acknowledged",
  unconfirmed: "not confirmed: connection lost",
  failed: "rejected",
};
/** The acknowledgement was lost with the connection, but the message itself was received. */
const SEEN = "delivered to the lobby";

/**
 * Create the list. `tintOf(name)` returns the colour number of a node; `resend(text)` is called by the button of a
 * message that was not confirmed.
 */
export function createMessages({ scroller, list, empty, more, tintOf, resend }) {
  const byId = new Map();
  const pending = new Set();
  const sids = new Set();
  const entries = new WeakMap();
  let self = "";

  const nearEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < FOLLOW_PX;
  const scrollToEnd = () => { scroller.scrollTop = scroller.scrollHeight; };
  // A flag, because a banner or the panel may push the end out of sight. A scroll event before the resize is handled
  // then does not mean that the reader has scrolled.
  let atEnd = true;
  let height = scroller.clientHeight;
  more.addEventListener("click", scrollToEnd);
  scroller.addEventListener("scroll", () => {
    if (scroller.clientHeight !== height) return;
    atEnd = nearEnd();
    if (atEnd) more.hidden = true;
  });
  const resized = new ResizeObserver(() => {
    height = scroller.clientHeight;
    if (atEnd) scrollToEnd();
  });
  resized.observe(scroller);
  resized.observe(list);

  function append(entry, follow) {
    empty.hidden = true;
    list.append(entry.item);
    while (list.childElementCount > MAX_MESSAGES) list.firstElementChild.remove();
    if (follow || atEnd) scrollToEnd();
    else more.hidden = false;
  }

  function bind(entry, id) {
    if (id === undefined || id === null) return;
    entry.id = id;
    entry.item.dataset.id = String(id);
    byId.set(id, entry);
    if (byId.size > MAX_MESSAGES) byId.delete(byId.keys().next().value);
  }

  function setState(entry, state, detail) {
    if (state !== "waiting" && state !== "sending") pending.delete(entry);
    entry.state = state;
    entry.item.dataset.state = state;
    entry.item.querySelector(".state").textContent = detail || STATES[state];
    entry.item.querySelector(".again")?.remove();
    if (state === "unconfirmed" || state === "failed") entry.item.querySelector(".meta").append(againButton(entry));
  }

  function againButton(entry) {
    const button = make("button", "again", "Send again");
    button.type = "button";
    button.addEventListener("click", () => {
      entry.item.remove();
      resend(entry.text);
    });
    return button;
  }

  function ownEntryFor(message) {
    for (const entry of pending) {
      if (entry.id === undefined && entry.text === message.text) return entry;
    }
    const unconfirmedItem = [...list.children].find((item) => item.dataset.state === "unconfirmed"
      && item.dataset.text === message.text && item.dataset.id === undefined);
    return unconfirmedItem && entries.get(unconfirmedItem);
  }

  return {
    /** Set this page's node and session id. Earlier ids still count as our own. */
    setSelf(node, sid) {
      self = node;
      if (sid) sids.add(sid);
    },

    /** Show a message that this page is about to send; returns its entry for `acknowledge`. */
    post(text, name, state) {
      const message = { text, from: name, node: self, time: Date.now() };
      const entry = { text, state, item: drawMessage(message, self, true, tintOf) };
      entries.set(entry.item, entry);
      pending.add(entry);
      append(entry, true);
      setState(entry, state);
      return entry;
    },

    /** Mark messages that were queued while offline as sent. */
    sendWaiting() {
      for (const entry of pending) if (entry.state === "waiting") setState(entry, "sending");
    },

    /** Mark messages as unconfirmed after a lost connection: they may or may not have been delivered. */
    loseSending() {
      for (const entry of [...pending].filter((each) => each.state === "sending")) {
        if (entry.id === undefined) setState(entry, "unconfirmed");
        else setState(entry, "delivered", SEEN);
      }
    },

    /** Handle the acknowledgement `{ok, node, id}` of a message, `ms` after it was sent (null: unknown). */
    acknowledge(entry, answer, ms) {
      if (!answer || answer.ok === false) {
        setState(entry, "failed", answer && answer.error ? `rejected: ${answer.error}` : undefined);
        return;
      }
      if (!byId.has(answer.id)) bind(entry, answer.id);
      setState(entry, "delivered", ms === null ? undefined : `acknowledged in ${formatMs(ms)}`);
    },

    /** Show a message from the node, unless it is shown already (our own, or history after a reconnect). */
    receive(raw) {
      const message = normalise(raw);
      if (message.id !== undefined && byId.has(message.id)) return;
      const own = message.sid !== undefined && sids.has(message.sid);
      const known = own ? ownEntryFor(message) : undefined;
      if (known) {
        bind(known, message.id);
        if (known.state === "unconfirmed") setState(known, "delivered", SEEN);
        return;
      }
      const entry = { text: message.text, state: "received", item: drawMessage(message, self, own, tintOf) };
      entry.item.dataset.state = "received";
      bind(entry, message.id);
      append(entry, false);
    },
  };
}

/** Format milliseconds, with one decimal below ten. */
export function formatMs(ms) {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** Fill in missing fields: an outside service may publish any value. */
function normalise(raw) {
  const message = raw !== null && typeof raw === "object" ? raw : { text: raw };
  return {
    id: message.id ?? undefined,
    sid: message.sid ?? undefined,
    text: String(message.text ?? ""),
    from: String(message.from ?? "someone"),
    node: message.node === undefined || message.node === null ? null : String(message.node),
    time: Number.isFinite(message.time) ? message.time : Date.now(),
  };
}

function drawMessage(message, self, own, tintOf) {
  const outside = message.node === null;
  const local = message.node === self;
  const item = make("li", own ? "message own" : "message", "");
  item.dataset.testid = "message";
  item.dataset.text = message.text;
  item.dataset.from = message.from;
  item.dataset.node = outside ? "outside" : message.node;
  item.dataset.via = local ? "local" : "broker";
  item.dataset.tint = outside ? "outside" : String(tintOf(message.node));

  const when = make("time", "", new Date(message.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  when.dateTime = new Date(message.time).toISOString();
  const byline = make("p", "byline", "");
  byline.append(make("strong", "", own ? `${message.from} (you)` : message.from), when);
  const meta = make("p", "meta", "");
  meta.append(drawRoute(message, self, own, tintOf), make("span", "state", ""));
  const bubble = make("div", "bubble", "");
  bubble.append(make("p", "text", message.text));
  const body = make("div", "body", "");
  body.append(byline, bubble, meta);
  const letter = make("span", "letter", outside ? "↗" : message.node.slice(0, 2));
  letter.setAttribute("aria-hidden", "true");
  item.append(letter, body);
  return item;
}

/** Draw the route of a message as chips, and as text for screen readers. */
function drawRoute(message, self, own, tintOf) {
  const source = message.node === null ? "an outside service" : `node ${message.node}`;
  const local = message.node === self;
  const route = make("span", "route", "");
  const words = local ? `Sent from ${source}, your own node.` : `Sent from ${source} through the broker to your node ${self}.`;
  route.append(make("span", "sr-only", words));
  const first = message.node === null ? chip("outside service", "outside", "outside") : nodeChip(message.node, tintOf);
  if (local) route.append(first, note(own ? "your node" : "same node as you, no broker involved"));
  else {
    const here = make("span", "route", "");
    here.append(arrow(), nodeChip(self, tintOf), note("you"));
    route.append(first, arrow(), chip("broker", "broker", "broker"), here);
  }
  return route;
}

function nodeChip(name, tintOf) {
  return chip(`node ${name}`, "node", String(tintOf(name)));
}

function chip(text, kind, tint) {
  const element = make("span", `chip ${kind}`, text);
  element.dataset.tint = tint;
  element.setAttribute("aria-hidden", "true");
  return element;
}

function arrow() {
  const element = make("span", "arrow", "→");
  element.setAttribute("aria-hidden", "true");
  return element;
}

function note(text) {
  const element = make("span", "route-note", text);
  element.setAttribute("aria-hidden", "true");
  return element;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
