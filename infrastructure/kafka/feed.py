"""The topic as a feed of twelve partitions; the progress topic says how far the whole of it is.

Who follows closely is given all there is up to one progress at a time: its partitions stand at one
mark after each batch. Who is far behind is given what comes first. What several read models of a
process follow closely is read once for all of them (shared_topic.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Final

from kafka import KafkaConsumer, TopicPartition

from infrastructure.kafka.clients import KafkaClients, away
from infrastructure.kafka.progress import last_progress
from infrastructure.kafka.records import position_of, received
from infrastructure.kafka.shared_topic import POLL, Follower, Item, News, SharedTopic, news
from infrastructure.kafka.topics import PARTITIONS, Topics
from projections.feed import START, FeedAway, Mark, Progress, Record, UnreadableRecord

_LOOK_MS: Final = 50
_KEPT: Final = 256
"""Progress records kept while their events are awaited: with a newer one the wait is longer."""


class KafkaFeed:
    """Not to be shared between threads. Needs a broker from its first use on, not before."""

    name = "kafka"
    partitions = PARTITIONS
    paced = True  # by the mirror's transactions

    def __init__(
        self,
        clients: KafkaClients,
        topics: Topics,
        ledger: str,
        *,
        shared: SharedTopic | None = None,
    ) -> None:
        """`shared` is for one of several feeds of a process."""
        self._clients = clients
        self._topics = topics
        self._ledger = ledger
        self._progress_partition = TopicPartition(topics.progress, 0)
        self.progress: Progress | None = None
        self._seen: deque[Progress] = deque(maxlen=_KEPT)
        """In order: those whose events are awaited, after the newest that had all of them."""
        self._shared = shared
        self._follower: Follower | None = None
        """Of what is shared, once it is close to it; it is read from there without `_following`."""
        self._following: KafkaConsumer | None = None
        self._looking: KafkaConsumer | None = None
        self._at: dict[int, int] = {}
        """By partition: nothing after this position has been taken from the client and lost."""
        self._buffered: dict[int, list[Item]] = {}

    def leave_out(self, events: UnionType) -> None:
        """Brings them all the same: what costs is the client's work for a message."""

    def read(self, after: Mapping[int, Mark], limit: int) -> Sequence[Record]:
        """See EventFeed: by position over all partitions, not command by command."""
        with away():
            self._follow(after)
            if not self._buffered:
                self._poll(0)
        newest = self._seen[-1]
        if newest.mark.position - min(mark.position for mark in after.values()) > limit:
            self.progress = newest
            return self._take(after, newest, limit)
        while len(self._seen) > 1 and self._has_all(self._seen[1], after):
            self._seen.popleft()
        self.progress = self._seen[0]
        if not self._has_all(self.progress, after):
            return []
        return self._take(after, self.progress, limit)

    def end(self) -> Progress:
        with away():
            found = last_progress(
                self._look(), self._topics.progress, self._ledger, self._clients.timeout_s
            )
        return found or Progress(START, dict.fromkeys(range(PARTITIONS), 0))

    def find(self, mark: Mark) -> Mark | None:
        end = self.end()
        if end.mark.position < mark.position:
            raise FeedAway(
                f"the topic ends at position {end.mark.position}, before {mark.position}:"
                " the mirror is behind"
            )
        if end.mark.position == mark.position:
            return end.mark
        with away():
            return self._search(
                mark, [each for each in end.last if end.last[each] >= mark.position]
            )

    def wait(self, timeout_s: float) -> None:
        with away():
            if self._following is None and self._follower is None:
                self._follow({})
                return  # what came before has been missed, or is read next
            self._poll(timeout_s)

    def close(self) -> None:
        self._leave()
        for consumer in (self._following, self._looking):
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=1000)
        self._following = self._looking = None

    def _follow(self, after: Mapping[int, Mark]) -> None:
        """Is at, or before, the marks of these partitions, and of no others."""
        others = after.keys() != self._at.keys()
        if self._follower is not None and (others or self._lost(after)):
            self._leave()
        if self._following is None and self._follower is None:
            self._following = self._clients.consumer()
            if not self._seen:
                self._seen.append(self.end())
            others = True
        if self._following is None:
            return
        if others or not self._following.assignment():
            self._following.assign([self._progress_partition, *map(self._partition, after)])
            self._seek_progress()
            self._at = {}
            self._buffered = {}
        if lost := self._lost(after):
            self._seek({each: after[each] for each in lost})

    def _lost(self, after: Mapping[int, Mark]) -> Sequence[int]:
        """Partitions of which something after their mark has been taken already."""
        return [
            each for each, mark in after.items() if self._at.get(each, _NOWHERE) > mark.position
        ]

    def _seek(self, marks: Mapping[int, Mark]) -> None:
        consumer = self._following
        assert consumer is not None
        for partition, offset in _offsets(consumer, self._topics.events, marks).items():
            consumer.seek(partition, offset)
            self._at[partition.partition] = marks[partition.partition].position
            self._buffered.pop(partition.partition, None)

    def _seek_progress(self) -> None:
        """Just before the end: what is newest comes again with the next poll."""
        assert self._following is not None
        where = self._progress_partition
        end = self._following.end_offsets([where])[where]
        self._following.seek(where, max(0, end - 2))

    def _poll(self, timeout_s: float) -> None:
        if self._following is None:
            assert self._follower is not None
            given = self._follower.take(timeout_s)
            while given:
                self._keep(given)
                given = self._follower.take(0)
            if given is None:
                self._leave()  # the next read begins anew, with a consumer of its own
            return
        messages = self._following.poll(round(timeout_s * 1000), max_records=POLL)
        self._keep(news(messages, self._topics, self._ledger))
        if self._shared is not None:
            self._join(self._shared, self._following)

    def _join(self, shared: SharedTopic, following: KafkaConsumer) -> None:
        """Once all there is has been read, and then what came until the reader is there."""
        if self._follower is None and self._at and self._has_all(self._seen[-1], self._at):
            self._follower = shared.join(self._at)
        if self._follower is not None and all(
            following.position(where) >= start for where, start in self._follower.starts.items()
        ):
            following.close(autocommit=False, timeout_ms=1000)
            self._following = None

    def _leave(self) -> None:
        if self._follower is not None and self._shared is not None:
            self._shared.leave(self._follower)
        self._follower = None

    def _keep(self, given: News) -> None:
        """Until it is read; what is there already may come again."""
        for partition, items in given.records.items():
            taken = self._taken(partition)
            if new := [item for item in items if item.position > taken]:
                self._buffered.setdefault(partition, []).extend(new)
        newest = given.progress
        if newest and newest.mark.position > self._seen[-1].mark.position:
            self._seen.append(newest)

    def _has_all(self, progress: Progress, partitions: Iterable[int]) -> bool:
        """Whether every record up to it has been taken from the client."""
        return all(progress.last[each] <= self._taken(each) for each in partitions)

    def _taken(self, partition: int) -> int:
        buffered = self._buffered.get(partition)
        return buffered[-1].position if buffered else self._at.get(partition, 0)

    def _take(self, after: Mapping[int, Mark], progress: Progress, limit: int) -> Sequence[Record]:
        records: list[Record] = []
        for partition in list(self._buffered):
            items = self._buffered.pop(partition)
            for index, item in enumerate(items):
                if item.position > progress.mark.position or len(records) == limit:
                    self._buffered[partition] = items[index:]
                    break
                if isinstance(item, UnreadableRecord):
                    self._at = {}  # it comes again with the next read
                    if not records or records[-1].partition != partition:
                        # One of its own: other threads may have the item too.
                        raise UnreadableRecord(item.position, item.reason, partition)
                    break
                if item.position > after[partition].position:
                    records.append(item)
                self._at[partition] = item.position
            if len(records) == limit:
                break  # the others are the first ones of the next read
        records.sort(key=_position)
        return records

    def _search(self, mark: Mark, partitions: Sequence[int]) -> Mark | None:
        """What stands at the mark's position: in one partition, at about the mark's time."""
        consumer = self._look()
        offsets = _offsets(consumer, self._topics.events, dict.fromkeys(partitions, mark))
        ends = consumer.end_offsets(list(offsets))
        consumer.assign(list(offsets))
        for where, offset in offsets.items():
            consumer.seek(where, offset)
        deadline = time.monotonic() + self._clients.timeout_s
        left = set(offsets)
        while left := {where for where in left if consumer.position(where) < ends[where]}:
            if time.monotonic() > deadline:
                raise FeedAway("the topic could not be searched in time")
            for where, messages in consumer.poll(_LOOK_MS).items():
                for message in messages:
                    position = position_of(message)
                    if position == mark.position:
                        return received(message, self._ledger).mark
                    if position > mark.position:
                        left.discard(where)
        return None

    def _look(self) -> KafkaConsumer:
        if self._looking is None:
            self._looking = self._clients.consumer()
        return self._looking

    def _partition(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.events, partition)


_NOWHERE: Final = 1 << 63


def _position(record: Record) -> int:
    return record.position


def _offsets(
    consumer: KafkaConsumer, topic: str, marks: Mapping[int, Mark]
) -> dict[TopicPartition, int]:
    """Where to read on from, to have everything after the marks: by their recorded times.

    Recorded times are monotone in position, and are the records' times, in milliseconds.
    """
    wanted = {TopicPartition(topic, partition): mark for partition, mark in marks.items()}
    begins = [where for where, mark in wanted.items() if mark.recorded_at is None]
    offsets: dict[TopicPartition, int] = consumer.beginning_offsets(begins) if begins else {}
    times = {
        where: int(mark.recorded_at.timestamp() * 1000)
        for where, mark in wanted.items()
        if mark.recorded_at is not None
    }
    found = consumer.offsets_for_times(times) if times else {}
    offsets |= {where: at.offset for where, at in found.items() if at is not None}
    ends = [where for where in wanted if where not in offsets]
    return offsets | (consumer.end_offsets(ends) if ends else {})
