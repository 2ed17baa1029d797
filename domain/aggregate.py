"""What our aggregates have in common beyond the library's."""

from abc import abstractmethod
from datetime import datetime
from typing import Any, Self, TypeVar, cast
from uuid import UUID

from eventsourcing.domain import Aggregate, CanMutateAggregate

from domain.events import Actor, FirstEvent, LedgerEvent

Event = TypeVar("Event", bound=LedgerEvent)


def event_with(event_class: type[Event], fields: dict[str, Any]) -> Event:
    """The event with these fields, which it keeps: all that have no default.

    As the class would make it; a frozen dataclass's own way, field by field, takes 5 µs.
    """
    event = object.__new__(event_class)
    object.__setattr__(event, "__dict__", fields)
    return event


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

    def trigger_event(self, event_class: type[CanMutateAggregate[Any]], **fields: Any) -> None:
        """The library's, for events that are the next ones by how they are made: without its
        looks at the class and at the event's place it takes 2 µs instead of 9."""
        fields["originator_id"] = self._id
        version = fields["originator_version"] = self._version + 1
        event = event_with(cast(type[LedgerEvent], event_class), fields)
        event.apply(self)
        self._version = version
        self._modified_on = event.timestamp
        self._pending_events.append(event)

    def collect(self) -> list[LedgerEvent]:
        """The events triggered since the last call, in order."""
        events, self._pending_events = self._pending_events, []
        return cast(list[LedgerEvent], events)


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

    def trigger(
        self,
        event_class: type[LedgerEvent],
        command: UUID,
        actor: Actor,
        now: datetime,
        **fields: Any,
    ) -> None:
        """Records a step that has been decided."""
        self.trigger_event(event_class, timestamp=now, command=command, actor=actor, **fields)
