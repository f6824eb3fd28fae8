"""One node's state of one publisher: the highest number received, and the links that have no gap. Pure.

The rules are those of `cluster.delivery.receiver`. This module holds the state, and the changes that concern a
single publisher.
"""

from dataclasses import dataclass, field

__all__ = ["CheckState", "PublisherState", "ReplayRequestState"]

NEVER = 1 << 63
REPLAY_RETRY_S = 1.0
LATE_RETRY_S = 4.0
"""Seconds after which a request is repeated while this node may be reading too slowly. The answer then waits in a
long queue, and another answer would make the queue longer."""
DOUBT_EVERY = 3
"""A doubt after a stall makes the publisher send messages again. The link is doubted again only when this many
times as many numbers have been received. So at most a quarter of all messages is sent again for doubts, even if a
node stalls again and again."""


@dataclass(slots=True)
class ReplayRequestState:
    """An open replay request to one publisher.

    Attributes:
        id: the request id, which the answer carries.
        after: the highest number that is not requested.
        first_contact: nothing was received from the publisher before, so messages that it no longer keeps were
            not missed.
        due_at: when the request is next (re)sent.
        sent_count: how often it was sent.
        sent_by: the link by which it was sent last; None for all links, or if it was not sent yet.
    """

    id: int
    after: int
    first_contact: bool
    due_at: float
    sent_count: int = 0
    sent_by: int | None = None

    def restart(self, now: float) -> None:
        """Send the request again now and count its attempts from zero."""
        self.due_at, self.sent_count = now, 0


@dataclass(slots=True)
class CheckState:
    """A check whether messages of one publisher were dropped without a trace.

    Attributes:
        after: every message up to this number was received.
        due_at: when the publisher is asked (again).
        id: the id of the request that is not answered yet; 0 if there is none.
        doubted: whether a link may have been read too slowly since the publisher was asked.
        clean: how many answers in a row have shown that nothing is missing, and nothing was doubted before them.
    """

    after: int
    due_at: float
    id: int = 0
    doubted: bool = True
    clean: int = 0


@dataclass(slots=True)
class _PublisherLink:
    """A link of a publisher that may have a gap.

    Attributes:
        generation: the newest generation that the publisher announced.
        starts_at: the number that it announced with that generation.
        last: the highest number received by the link.
        fresh: something was received by the link since this node connected to it.
        suspect: messages may still be missing on the link. Only an answer by the same link clears this.
        valid_from_request: the lowest request id whose answer clears `suspect`. An answer to an earlier request
            may arrive ahead of the gap.
        suspect_from: the number after which messages were requested when the link became suspect.
        doubt_from: the number from which on the link may be doubted again; see `DOUBT_EVERY`.
    """

    generation: int = -1
    starts_at: int = 0
    last: int = 0
    fresh: bool = False
    suspect: bool = False
    valid_from_request: int = 0
    suspect_from: int = 0
    doubt_from: int = 0

    @property
    def may_become_gapless(self) -> bool:
        """Whether the link's current content is known."""
        return self.fresh and not self.suspect and self.generation >= 0


@dataclass(slots=True)
class PublisherState:
    """One publisher, as seen by one node.

    Attributes:
        received: up to this number, every message for this node was delivered or reported as lost.
        answered_upto: up to this number the publisher has answered, so that a gap below it needs no request.
        gapless: bit mask of the links that deliver without a gap.
        recheck_at: once this number is received, a link may have become gapless (`recheck_links`).
        alive: whether the publisher is a live node, so that it can be asked.
        gone_at: when it left or died.
        request: the open replay request, if any.
        last_answered_id: the id of the last request that was answered completely or given up.
        check: the check in progress, if any.
    """

    received: int
    answered_upto: int = 0
    gapless: int = 0
    recheck_at: int = NEVER
    alive: bool = False
    gone_at: float | None = None
    request: ReplayRequestState | None = None
    last_answered_id: int = 0
    check: CheckState | None = None
    _links: dict[int, _PublisherLink] = field(default_factory=dict)

    @property
    def highest_known(self) -> int:
        """The highest number that the publisher is known to have used."""
        return max([self.received, *(link.last for link in self._links.values())])

    def can_replay(self, n: int) -> bool:
        """Whether a request may still bring a message that was not received."""
        return self.alive and n > self.answered_upto

    def heartbeat(self, link: int, n: int, generation: int, ready: int) -> bool:
        """Process a heartbeat; return whether it announces a new generation of the link."""
        state = self._link(link)
        if generation < state.generation:
            return False  # from a connection that no longer exists
        is_new = generation > state.generation
        if is_new:
            state.generation, state.starts_at = generation, n
            self.gapless &= ~(1 << link)
        if self.gapless >> link & 1:
            self.received = max(self.received, n)
        else:
            state.last, state.fresh = max(state.last, n), True
        self.recheck_links(ready)
        return is_new

    def defer(self, link: int, n: int) -> None:
        """Note a message that was received by a link that may have a gap."""
        state = self._link(link)
        state.last, state.fresh = max(state.last, n), True
        if not state.suspect:
            self.recheck_at = min(self.recheck_at, state.last)

    def recheck_links(self, ready: int) -> None:
        """Mark each link as gapless whose messages were all received by other links too."""
        self.recheck_at = NEVER
        for link, state in self._links.items():
            if self.gapless >> link & 1 or not ready >> link & 1 or not state.may_become_gapless:
                continue
            if state.last <= self.received:
                self.gapless |= 1 << link
            else:
                self.recheck_at = min(self.recheck_at, state.last)

    def mark_gapless(self, link: int, upto: int, request_id: int, ready: int) -> None:
        """Process a complete answer that arrived by a link: the messages behind it follow without a gap."""
        state = self._link(link)
        if (state.suspect and request_id < state.valid_from_request) or upto < state.starts_at:
            return  # the answer was made before the gap
        if state.suspect:
            state.doubt_from = upto + DOUBT_EVERY * max(0, upto - state.suspect_from)
        state.suspect, state.fresh, state.last = False, True, upto
        # A second answer to one request may be newer than the first: what lies between arrives by other links.
        if ready >> link & 1 and upto <= self.received:
            self.gapless |= 1 << link
        self.recheck_links(ready)

    def mark_suspect(self, link: int, next_id: int) -> None:
        """Note that a link may have gaps; only answers to requests from `next_id` on clear this."""
        self.gapless &= ~(1 << link)
        state = self._link(link)
        if not state.suspect:
            state.suspect_from = self.received if self.check is None else self.check.after
        state.suspect, state.valid_from_request = True, next_id

    def may_doubt(self, link: int) -> bool:
        """Whether a link becomes suspect after a stall; if not, checks must find what is missing."""
        state = self._link(link)
        return not state.suspect and self.received >= state.doubt_from

    @property
    def retry_s(self) -> float:
        """Seconds after which a request that was not answered is repeated."""
        return REPLAY_RETRY_S if self.check is None else LATE_RETRY_S

    @property
    def first_gapless_link(self) -> int:
        """The lowest gapless link; there must be one."""
        return (self.gapless & -self.gapless).bit_length() - 1

    def has_suspect_link(self, ready: int) -> bool:
        """Whether messages may still be missing on a link to which this node is connected."""
        return any(state.suspect and ready >> link & 1 for link, state in self._links.items())

    def has_suspect_link_since(self, request_id: int) -> bool:
        """Whether a link became suspect after a request was made, so that its answer does not clear the link."""
        return any(link.suspect and link.valid_from_request > request_id for link in self._links.values())

    def link_to_ask_by(self, ready: int) -> int | None:
        """The link to send a request by: a suspect one if possible; None if no link is known to work."""
        links = self._links
        known = [link for link, state in links.items() if state.generation >= 0 and ready >> link & 1]
        return min(known, key=lambda link: (not links[link].fresh, not links[link].suspect, link), default=None)

    def link_connected(self, link: int) -> None:
        """Forget the state of this node's earlier connection to a broker."""
        state = self._link(link)
        state.suspect = state.fresh = False

    def mark_alive(self, now: float) -> None:
        """Note that the publisher is alive; if it had been silent, its open request is sent again."""
        if self.gone_at is not None and self.request is not None:
            self.request.restart(now)
        self.alive = True
        self.gone_at = None

    def answered(self, upto: int) -> None:
        """Note that an answer covers every number up to `upto`."""
        self.answered_upto = max(self.answered_upto, upto)
        self.received = max(self.received, upto)
        if self.check is not None:
            self.check.after = max(self.check.after, upto)

    def close_request(self) -> None:
        """End the open request, if any."""
        if self.request is not None:
            self.last_answered_id = self.request.id
        self.request = None

    def _link(self, link: int) -> _PublisherLink:
        state = self._links.get(link)
        if state is None:
            state = self._links[link] = _PublisherLink()
        return state
