"""What our aggregates have in common beyond the library's."""

from abc import abstractmethod
from typing import Self, cast

from eventsourcing.domain import Aggregate

from domain.events import FirstEvent, LedgerEvent


class LedgerAggregate(Aggregate):
    @classmethod
    def begun_by(cls, event: FirstEvent) -> Self:
        """The aggregate that the event begins, with the event yet to be recorded."""
        begun: Self = event.mutate(None)
        begun.pending_events.append(event)
        return begun

    def copied(self) -> Self:
        """A copy to decide on: what an aggregate holds is replaced as it changes, never altered."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._pending_events = []
        return copy

    def collect(self) -> list[LedgerEvent]:
        """The events triggered since the last call, in order."""
        return cast(list[LedgerEvent], list(self.collect_events()))


class Subject(LedgerAggregate):
    """What a command may be about besides accounts: a payment, or what one is paid by or for."""

    @property
    @abstractmethod
    def concerned(self) -> set[str]:
        """The accounts that any command about it may be decided on."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether something is to come of it."""
