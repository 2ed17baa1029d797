"""What the writer keeps of what it has decided on: no more than it is told to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar
from uuid import UUID

from msgspec import structs
from msgspec.json import Decoder, Encoder

from application.snapshots import State, account_with, state_of
from domain.account import Account

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class Recent(OrderedDict[Key, Kept], Generic[Key, Kept]):
    """What was used last. The library's locks, and takes six times as long; this one is the
    writer's alone."""

    def __init__(self, at_most: int) -> None:
        super().__init__()
        self._at_most = at_most

    def find(self, key: Key) -> Kept | None:
        if key not in self:
            return None
        self.move_to_end(key)
        return self[key]

    def keep(self, key: Key, value: Kept) -> tuple[Key, Kept] | None:
        """Gives what has to go for it."""
        self[key] = value
        self.move_to_end(key)
        return self.popitem(last=False) if len(self) > self._at_most else None


class _Compact(State, array_like=True):
    stream: UUID
    version: int


_encoder: Final = Encoder()
_decoder: Final = Decoder(_Compact)


class RecentAccounts:
    """The accounts used last: an eighth as they are, the others as bytes.

    As it is, an account takes 790 bytes in a dozen objects, each of which the garbage collector
    looks at; as bytes it takes 350, and 3 µs to go and come back.
    """

    def __init__(self, at_most: int) -> None:
        whole = max(1, at_most // 8)
        self._whole: Recent[str, Account] = Recent(whole)
        self._compact: Recent[str, bytes] = Recent(at_most - whole)

    def find(self, name: str) -> Account | None:
        account = self._whole.find(name)
        if account is None and (compact := self._compact.pop(name, None)) is not None:
            account = _whole(compact)
            self.keep(name, account)
        return account

    def keep(self, name: str, account: Account) -> None:
        self._compact.pop(name, None)
        gone = self._whole.keep(name, account)
        if gone is not None:
            self._compact.keep(gone[0], _as_bytes(gone[1]))


def _as_bytes(account: Account) -> bytes:
    return _encoder.encode(_Compact(*(*state_of(account), account.id, account.version)))


def _whole(compact: bytes) -> Account:
    state = structs.asdict(_decoder.decode(compact))
    return account_with(state.pop("stream"), state.pop("version"), state)
