"""One publisher as one node hears it: the highest number heard, and the links by which nothing is missing. Pure.

The rules are those of `cluster.delivery.receiver`; here is the state, and what changes one publisher's alone.
"""

from dataclasses import dataclass, field

__all__ = ["PublisherState", "ReplayRequestState"]

NOTHING_TO_WATCH = 1 << 63


@dataclass(slots=True)
class ReplayRequestState:
    """What one publisher is asked.

    Attributes:
        id: what its answer carries.
        after: the highest number that is not asked for.
        first_meeting: nothing was heard of the publisher before: what it does not keep was not missed.
        due_at: when it is to be sent, again.
        asked: how often it was sent.
    """

    id: int
    after: int
    first_meeting: bool
    due_at: float
    asked: int = 0

    def start_again(self, now: float) -> None:
        """What hindered it is over."""
        self.due_at, self.asked = now, 0


@dataclass(slots=True)
class _PublisherLink:
    """A link of a publisher that is not sound.

    Attributes:
        generation: the newest that the publisher told.
        begins_at: the number that it told with it.
        last: the highest number that came by the link.
        fresh: something came by it since it was made anew here.
        doubted: it may have holes that are still to come; only an answer that comes by it ends that.
        trusted_from: the answer to a question with this id or a later one does. What was asked before the doubt
            may be answered in front of the hole.
    """

    generation: int = -1
    begins_at: int = 0
    last: int = 0
    fresh: bool = False
    doubted: bool = False
    trusted_from: int = 0

    @property
    def may_become_sound(self) -> bool:
        """Whether it is known what it brings now."""
        return self.fresh and not self.doubted and self.generation >= 0


@dataclass(slots=True)
class PublisherState:
    """One publisher.

    Attributes:
        heard: up to this number, everything for this node was delivered or told as lost.
        settled: up to this number it has answered, so that no hole below it is worth a question.
        sound: the links behind which nothing is missing, as a bit mask.
        watch: when this number is heard, a link may have become sound (`catch_up`).
        lives: whether it is among the living nodes, so that it can be asked.
        gone_at: when it left or died.
        question: what it is asked, if it is.
        settled_id: the id of the last question that was answered completely, or given up.
    """

    heard: int
    settled: int = 0
    sound: int = 0
    watch: int = NOTHING_TO_WATCH
    lives: bool = False
    gone_at: float | None = None
    question: ReplayRequestState | None = None
    settled_id: int = 0
    _ways: dict[int, _PublisherLink] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """The highest number that is known to exist."""
        return max([self.heard, *(way.last for way in self._ways.values())])

    def misses(self, previous: int) -> bool:
        """Whether a message that was not heard can still be had."""
        return self.lives and previous > self.settled

    def beat(self, link: int, n: int, generation: int, ready: int) -> bool:
        """Take a heartbeat; whether it begins a new generation of the link."""
        way = self._way(link)
        if generation < way.generation:
            return False  # from a connection that is gone
        begins = generation > way.generation
        if begins:
            way.generation, way.begins_at = generation, n
            self.sound &= ~(1 << link)
        if self.sound >> link & 1:
            self.heard = max(self.heard, n)
        else:
            way.last, way.fresh = max(way.last, n), True
        self.catch_up(ready)
        return begins

    def set_aside(self, link: int, n: int) -> None:
        """A message came by a link that is not sound."""
        way = self._way(link)
        way.last, way.fresh = max(way.last, n), True
        if not way.doubted:
            self.watch = min(self.watch, way.last)

    def catch_up(self, ready: int) -> None:
        """Take for sound each link that has brought nothing which was not heard."""
        self.watch = NOTHING_TO_WATCH
        for link, way in self._ways.items():
            if self.sound >> link & 1 or not ready >> link & 1 or not way.may_become_sound:
                continue
            if way.last <= self.heard:
                self.sound |= 1 << link
            else:
                self.watch = min(self.watch, way.last)

    def sound_behind(self, link: int, upto: int, request_id: int, ready: int) -> None:
        """A complete answer came by a link: what follows on it follows without a hole."""
        way = self._way(link)
        if (way.doubted and request_id < way.trusted_from) or upto < way.begins_at:
            return  # it was made before what broke the link
        way.doubted, way.last = False, min(way.last, upto)
        if ready >> link & 1:
            self.sound |= 1 << link
        self.catch_up(ready)

    def distrust(self, link: int, next_id: int) -> None:
        """There may be holes on a link; `next_id` is that of the next question."""
        self.sound &= ~(1 << link)
        way = self._way(link)
        way.doubted, way.trusted_from = True, next_id

    def is_doubted_since(self, request_id: int) -> bool:
        """Whether a doubt arose after a question, so that its answer does not end it."""
        return any(way.doubted and way.trusted_from > request_id for way in self._ways.values())

    def renew(self, link: int) -> None:
        """A link was made anew here."""
        way = self._way(link)
        way.doubted = way.fresh = False

    def revive(self, now: float) -> None:
        """The publisher lives."""
        if self.gone_at is not None and self.question is not None:
            self.question.start_again(now)
        self.lives = True
        self.gone_at = None

    def settle(self) -> None:
        """Nothing is asked any more."""
        if self.question is not None:
            self.settled_id = self.question.id
        self.question = None

    def _way(self, link: int) -> _PublisherLink:
        way = self._ways.get(link)
        if way is None:
            way = self._ways[link] = _PublisherLink()
        return way
