"""Group commit: one thread takes all that has queued while the last batch was committing.

No timer and no waiting when idle: an empty queue makes a batch of one, a full one a large batch.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError

from application.answers import Answer
from application.batch import Batch
from application.commands import Command, PayTogether
from application.ledger import Ledger
from application.ports import EndMoved, StorageFull, StoreUnavailable

RETRY_PAUSE_S = 0.1
BULK_SHARE = 8
"""Payments that came many at a time, in a batch that has others too: half a millisecond of it. With
12, the singles beside a bulk took 2.3 times as long at p99 as without one, with 8 1.4 times."""

_log = logging.getLogger(__name__)


class Overloaded(Exception):
    """The queue is full: the command was not taken, and may be sent again."""


class Waiter(Protocol):
    """Who waits for a command's answer: a Future, or what is cheaper where they come by the
    thousand. Called by the writer's thread."""

    def set_running_or_notify_cancel(self) -> bool:
        """Whether the answer is still wanted, asked when the command's turn has come."""

    def set_result(self, result: Answer, /) -> None: ...

    def set_exception(self, exception: BaseException | None, /) -> None: ...


class CommandWriter(Protocol):
    """The writer, in this process or in another one (infrastructure/writer_link.py)."""

    @property
    def batch_size(self) -> int:
        """Payments of one append at most, of those that came singly."""

    @property
    def alive(self) -> bool:
        """Whether commands are decided."""

    @property
    def queued(self) -> int:
        """Commands that wait."""

    def submit(self, command: Command) -> Future[Answer]:
        """Queues a command; its future gets the Answer once it is committed.

        Raises Overloaded at once where the queue is full. The future raises Undecided refusals,
        StoreUnavailable or StorageFull (what became of the command is unknown), or a defect.
        """

    def take(self, command: Command, answer: Waiter) -> None:
        """As `submit`, for a waiter of another kind."""


class _Waiting(NamedTuple):
    command: Command
    answer: Waiter
    in_doubt: bool


class Writer:
    """Decides and records commands in order of arrival.

    `queue_size` bounds what may wait, `batch_size` the single payments of one append, `timeout_s`
    how long a command is tried against a store that doesn't answer. `on_death` is called where the
    thread ends by a defect: without it nobody would answer, so the process should end. `observe`
    is told the payments and the events of each batch; `answered` is called when all of one are.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        queue_size: int,
        batch_size: int,
        timeout_s: float,
        on_death: Callable[[], None],
        observe: Callable[[int, int], None] = lambda commands, events: None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._queue_size = queue_size
        self._many: deque[_Waiting] = deque()
        """Of the writer's thread: what it has taken from the queue, and has yet to decide."""
        self._shared = False
        """Whether the last batch had payments that came singly: more may be on their way."""
        self.batch_size = batch_size
        self._timeout_s = timeout_s
        self._on_death = on_death
        self._observe = observe
        self._answered = answered
        self._thread = Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Decides what is queued, then ends the thread. Nothing may be submitted after it."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        return self._queue.qsize() + len(self._many)

    def submit(self, command: Command) -> Future[Answer]:
        answer: Future[Answer] = Future()
        self.take(command, answer)
        return answer

    def take(self, command: Command, answer: Waiter, *, in_doubt: bool = False) -> None:
        """`in_doubt` is one that another writer may have recorded without saying so: found then,
        it is no replay."""
        # Asked first, and not held to the last one: a queue that locks costs as much as parsing.
        if self.queued >= self._queue_size:
            raise Overloaded
        self._queue.put(_Waiting(command, answer, in_doubt))

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                if batch:
                    self._write(batch)
                    self._answered()
        except BaseException:
            _log.critical("the writer died", exc_info=True)
            self._on_death()
            raise

    def _next_batch(self) -> list[_Waiting] | None:
        """All that has queued; waits for the first; None at the end.

        Of payments that came singly at most `batch_size`. Those that came many at a time have
        their turn after them, and about BULK_SHARE of them then, and in the batch after: who pays
        one isn't to wait for who pays ten thousand, nor the other way round.
        """
        batch: list[_Waiting] = []
        ended = False
        with suppress(Empty):
            waiting = self._queue.get(block=not self._many)
            while waiting is not None:
                if isinstance(waiting.command, PayTogether):  # of one payment too: in their order
                    self._many.append(waiting)
                elif _is_wanted(waiting):
                    batch.append(waiting)
                if len(batch) == self.batch_size:
                    break
                waiting = self._queue.get_nowait()
            else:
                ended = True
        shared, self._shared = self._shared or bool(batch), bool(batch)
        room = BULK_SHARE if shared else self.batch_size
        while self._many and room > 0:
            waiting = self._many.popleft()
            if _is_wanted(waiting):
                batch.append(waiting)
                room -= len(waiting.command.commands)
        if ended:
            if not batch and not self._many:
                return None
            self._queue.put(None)  # what is at hand first, then the end
        return batch

    def _write(self, batch: Sequence[_Waiting]) -> None:
        """Answers every command of the batch, whatever happens."""
        try:
            answers: Sequence[Answer | Exception] = self._decide_and_commit(batch)
        except (StoreUnavailable, StorageFull) as error:
            answers = [error] * len(batch)
        except Exception as defect:  # noqa: BLE001 (it is answered, not swallowed)
            if len(batch) > 1:
                # One command may have spoilt the append for all: each goes alone.
                _log.error("a batch failed, its commands go singly", exc_info=True)
                for waiting in batch:
                    self._write([waiting])
                return
            answers = [defect]
        for waiting, result in zip(batch, answers, strict=True):
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)

    def _decide_and_commit(self, waiting: Sequence[_Waiting]) -> list[Answer | Exception]:
        """Until the store has taken the batch; every try decides on what is there by then.

        A try whose end is unknown needs no more than the next one: commands that landed after
        all are found by their keys.
        """
        give_up = time.monotonic() + self._timeout_s
        commands = [each.command for each in waiting]
        in_doubt = {one.id for each in waiting if each.in_doubt for one in each.command.commands}
        with ExitStack() as turn:
            lost = has_turn = False
            while True:
                batch: Batch | None = None
                try:
                    if lost and not has_turn:
                        turn.enter_context(self._ledger.store.turn())
                        has_turn = True
                    batch = self._ledger.decide(commands, in_doubt)
                    answers = self._ledger.commit(batch)
                    payments = sum(len(command.commands) for command in commands)
                    self._observe(payments, len(batch.events))
                    return answers
                except (EndMoved, IntegrityError):
                    if time.monotonic() > give_up:
                        raise StoreUnavailable from None
                    # What was only presumed is looked at next: that is no race lost yet.
                    lost = batch is None or not batch.presumed
                except (OperationalError, InterfaceError) as error:
                    in_doubt |= set(batch.accepted() if batch else ())
                    if time.monotonic() > give_up:
                        raise StoreUnavailable from error
                    time.sleep(RETRY_PAUSE_S)


def _is_wanted(waiting: _Waiting) -> bool:
    """Whose client is gone before its turn is left out; from here on it can't be canceled."""
    return waiting.answer.set_running_or_notify_cancel()
