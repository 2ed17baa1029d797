"""What the ledger does by itself: it records what has expired (holds, payments that wait to be
confirmed, payment requests, pay codes) and executes scheduled payments, each within a second.

What is due is found in a read model, which decides nothing: the writer does, on what the thing is
by then. So it does no harm that a read model is behind, or that two processes look.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime
from threading import Event, Thread
from typing import Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID

from application.answers import Answer
from application.commands import (
    Command,
    ExecutePayment,
    ExpirePayCode,
    ExpirePayment,
    ExpirePaymentRequest,
)
from application.ports import Clock, StorageFull, StoreUnavailable
from application.writer import Overloaded
from domain.events import Actor
from domain.ids import LEDGER_ITSELF, due_command
from domain.refusals import NothingDue

LOOK_S: Final = 0.2
"""How long what is due waits to be seen at most."""
LIMIT: Final = 1_000
"""Found at one look."""
OUTSTANDING: Final = 100
"""Commands that wait for the writer together: clients have the rest of its queue."""
AGAIN_S: Final = 5.0
"""What was asked for is left alone so long while the read model still shows it: it may be behind,
or halted, and a clock may have been put back."""
BACK_OFF_S: Final = 5.0

_log = logging.getLogger(__name__)


class Due(NamedTuple):
    """A payment whose deadline or time has come; a payment request, or a pay code, whose deadline
    has."""

    subject: UUID
    step: Literal["expire", "execute", "expire_request", "expire_code"]


class DuePayments(Protocol):
    """Where what is due is found."""

    def due(self, now: datetime, limit: int) -> Sequence[Due]:
        """What is due by that time, the oldest first; what was done a moment ago may be among it.

        Empty where another process looks after it, or no read model is there. Raises
        StoreUnavailable.
        """
        ...

    def close(self) -> None: ...


class Sweeper:
    """Looks for what is due, and has the writer decide it."""

    def __init__(
        self,
        payments: DuePayments,
        submit: Callable[[Command], Future[Answer]],
        *,
        clock: Clock,
    ) -> None:
        """`submit` is the writer's."""
        self._payments = payments
        self._submit = submit
        self._clock = clock
        self._asked: dict[Due, float] = {}
        """When what the read model still shows was asked for."""
        self._stop = Event()
        self._thread = Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits for what it has asked for. To be called before the writer's."""
        self._stop.set()
        self._thread.join()

    def look(self) -> int:
        """Asks for what is due and hasn't been asked for yet; gives how much that was.

        Raises StoreUnavailable, StorageFull.
        """
        found = self._payments.due(self._clock(), LIMIT)
        began = time.monotonic()
        self._asked = {
            due: at
            for due in found
            if (at := self._asked.get(due)) is not None and at > began - AGAIN_S
        }
        fresh = [due for due in found if due not in self._asked]
        for first in range(0, len(fresh), OUTSTANDING):
            if self._stop.is_set() or not self._ask(fresh[first : first + OUTSTANDING]):
                break
        return len(fresh)

    def _ask(self, few: Iterable[Due]) -> bool:
        """Waits until all are decided; False where the writer has no room for them now."""
        waiting: list[tuple[Due, Future[Answer]]] = []
        room = True
        for due in few:
            try:
                answer = self._submit(_command(due))
            except Overloaded:
                room = False
                break
            waiting.append((due, answer))
        for due, answer in waiting:
            try:
                answer.result()
            except NothingDue:
                pass
            except (StoreUnavailable, StorageFull):
                raise
            except Exception:  # noqa: BLE001 (a defect: the others go on, and it is tried again)
                _log.error("%s: its step %s failed", *due, exc_info=True)
            self._asked[due] = time.monotonic()
        return room

    def _run(self) -> None:
        """Until it is told to stop: what goes wrong is logged, and tried again."""
        pause_s = LOOK_S
        while not self._stop.wait(pause_s):
            try:
                pause_s = 0.0 if self.look() == LIMIT else LOOK_S
            except (StoreUnavailable, StorageFull) as error:
                _log.warning("what is due waits: %s", type(error).__name__)
                pause_s = min(max(pause_s, LOOK_S) * 2, BACK_OFF_S)
            except Exception:  # noqa: BLE001 (clients are served without it)
                _log.error("what is due waits", exc_info=True)
                pause_s = BACK_OFF_S
        self._payments.close()


def _command(due: Due) -> Command:
    subject, step = due
    by: dict[str, Any] = {
        "id": due_command(subject, step),
        "fingerprint": b"",
        "actor": Actor(LEDGER_ITSELF, "", ""),
    }
    match step:
        case "expire":
            return ExpirePayment(**by, payment=subject)
        case "execute":
            return ExecutePayment(**by, payment=subject)
        case "expire_request":
            return ExpirePaymentRequest(**by, payment_request=subject)
        case "expire_code":
            return ExpirePayCode(**by, pay_code=subject)
