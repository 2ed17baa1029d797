"""The topic, read once for all read models of a process that follow it closely.

Most of what a record costs a worker is the client's work to fetch it and take it apart. A thread
of its own does that for all of them; who joins is given everything from some offsets on, and has
read up to them by then with a consumer of its own (feed.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from infrastructure.kafka.clients import KafkaClients, away
from infrastructure.kafka.progress import newest_progress
from infrastructure.kafka.records import received
from infrastructure.kafka.topics import Topics
from projections.feed import FeedAway, Progress, Record, UnreadableRecord

POLL: Final = 5_000
"""Records taken from the client at once."""
BEHIND: Final = 10_000
"""Records that wait for one follower: who has more of them reads on by itself."""
_LOOK_MS: Final = 200
"""Longest wait for news: how long who joins waits at most."""

Item = Record | UnreadableRecord


class News(NamedTuple):
    """What one look at the topic brought."""

    records: Mapping[int, Sequence[Item]]
    """By partition, in order."""
    progress: Progress | None
    """The newest, if there was any."""

    def __bool__(self) -> bool:
        return bool(self.records or self.progress)


NOTHING: Final = News({}, None)


def news(messages: Mapping[TopicPartition, Sequence[Any]], topics: Topics, ledger: str) -> News:
    """What a consumer's messages say."""
    records: dict[int, Sequence[Item]] = {}
    progress = None
    for where, of_it in messages.items():
        if where.topic == topics.progress:
            progress = newest_progress(of_it, ledger)
        else:
            records[where.partition] = [_item(message, ledger) for message in of_it]
    return News(records, progress)


def _item(message: Any, ledger: str) -> Item:
    try:
        return received(message, ledger)
    except UnreadableRecord as bad:
        return bad


class Follower:
    """One who reads along. Made by SharedTopic.join; `take` is for one thread."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self.partitions = frozenset(partitions)
        self.starts: Mapping[TopicPartition, int] = {}
        """By partition, that of the progress too: the offset from which on it is given all."""
        self.admitted = Event()
        self.error: Exception | None = None
        self._news: SimpleQueue[News | None] = SimpleQueue()
        self._given = self._taken = 0
        """Records, and a progress as one: the first is counted by the thread that gives, the other
        by the one that takes."""

    @property
    def waiting(self) -> int:
        """What was given and not taken, in records."""
        return self._given - self._taken

    def give(self, found: News) -> None:
        own = {each: found.records[each] for each in self.partitions & found.records.keys()}
        if own or found.progress:
            given = News(own, found.progress)
            self._given += _count(given)
            self._news.put(given)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more is given."""
        self.error = error
        self._news.put(None)
        self.admitted.set()

    def take(self, timeout_s: float) -> News | None:
        """What was given next, NOTHING after that time; None where no more is given, because too
        much waited. Raises FeedAway, and what nobody expects."""
        try:
            found = self._news.get(timeout=timeout_s) if timeout_s else self._news.get_nowait()
        except Empty:
            return NOTHING
        if found is None:
            self.check()
        else:
            self._taken += _count(found)
        return found

    def check(self) -> None:
        """Raises what ended it, if anything did."""
        if self.error is not None:
            with away():
                raise self.error


class SharedTopic:
    """Threads may join and leave as they like; it reads while anybody is there."""

    def __init__(self, clients: KafkaClients, topics: Topics, ledger: str) -> None:
        self._clients = clients
        self._topics = topics
        self._ledger = ledger
        self._progress = TopicPartition(topics.progress, 0)
        self._lock = Lock()
        self._followers: list[Follower] = []
        self._running = False

    def join(self, partitions: Iterable[int]) -> Follower:
        """Reads these partitions from about the end on. Raises FeedAway."""
        follower = Follower(partitions)
        with self._lock:
            self._followers.append(follower)
            if not self._running:
                self._running = True
                Thread(target=self._run, name="shared-topic", daemon=True).start()
        if not follower.admitted.wait(self._clients.timeout_s):
            self.leave(follower)
            raise FeedAway("the topic's end was not found in time")
        follower.check()
        return follower

    def leave(self, follower: Follower) -> None:
        with self._lock:
            if follower in self._followers:
                self._followers.remove(follower)

    def _run(self) -> None:
        try:
            consumer = self._clients.consumer()
            try:
                while followers := self._admitted(consumer):
                    self._give(consumer.poll(_LOOK_MS, max_records=POLL), followers)
            finally:
                with suppress(KafkaError):  # nobody is there any more, or another thread is
                    consumer.close(autocommit=False, timeout_ms=1000)
        except Exception as error:  # noqa: BLE001 (raised where the followers are)
            with self._lock:
                ended, self._followers = self._followers, []
                self._running = False
            for follower in ended:
                follower.end(error)

    def _admitted(self, consumer: KafkaConsumer) -> Sequence[Follower]:
        """Those who read along from here on. With none left it ends."""
        with self._lock:
            followers = list(self._followers)
            if not followers:
                self._running = False
                return followers
        events = {each for follower in followers for each in follower.partitions}
        self._look_at(consumer, {self._progress, *map(self._events, events)})
        for follower in followers:
            if not follower.admitted.is_set():
                wanted = [self._progress, *map(self._events, follower.partitions)]
                follower.starts = {where: consumer.position(where) for where in wanted}
                follower.admitted.set()
        return followers

    def _look_at(self, consumer: KafkaConsumer, wanted: Set[TopicPartition]) -> None:
        """At these partitions and no others: those that are new from their end on."""
        before = consumer.assignment()
        if before == wanted:
            return
        kept = {where: consumer.position(where) for where in before & wanted}
        consumer.assign(list(wanted))
        for where, offset in (consumer.end_offsets(list(wanted)) | kept).items():
            consumer.seek(where, offset)

    def _give(
        self, messages: Mapping[TopicPartition, Sequence[Any]], followers: Sequence[Follower]
    ) -> None:
        if not messages:
            return
        found = news(messages, self._topics, self._ledger)
        for follower in followers:
            follower.give(found)
            if follower.waiting > BEHIND:
                self.leave(follower)
                follower.end()

    def _events(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.events, partition)


def _count(found: News) -> int:
    """A progress counts too: of partitions without records nothing else may come for long."""
    return sum(map(len, found.records.values())) + (found.progress is not None)
