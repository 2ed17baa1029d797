"""Stream ids: names are hashed to UUIDs, with a namespace per kind of stream.

A version 5 UUID (RFC 9562) over a JSON array, so that no two lists of names run together.
"""

import json
from hashlib import sha1
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

LEDGER_ITSELF: Final = "tallystick"
"""The caller of what the ledger does by itself: no key is made for a caller of that name."""

_COMMANDS: Final = uuid5(NAMESPACE_URL, "tallystick:command")
_DUE: Final = uuid5(NAMESPACE_URL, "tallystick:due")
_ACCOUNTS: Final = uuid5(NAMESPACE_URL, "tallystick:account")
_REQUESTS: Final = uuid5(NAMESPACE_URL, "tallystick:payment_request")

_array: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_FREE: Final = ~(0xF << 76 | 0x3 << 62)
_VERSION_5: Final = 0x5 << 76 | 0x2 << 62
"""Version and variant, the bits that a hash doesn't fill."""


def command_stream(ledger: str, caller: str, key: str) -> UUID:
    """Stream of the command a caller sends under an idempotency key; a payment's id."""
    return _named(_COMMANDS, ledger, caller, key)


def due_command(subject: UUID, step: str) -> UUID:
    """Id of the command by which the ledger itself takes that step of a payment, or of another
    thing with a deadline, once."""
    return _named(_DUE, str(subject), step)


def account_stream(ledger: str, account: str) -> UUID:
    """Stream of the account with this id."""
    return _named(_ACCOUNTS, ledger, account)


def request_stream(command: UUID) -> UUID:
    """Stream of the payment request that this command opens; its id."""
    return _named(_REQUESTS, str(command))


def _named(namespace: UUID, *names: str) -> UUID:
    # As uuid.uuid5 has it, in half the time: one is made for every payment.
    digest = sha1(namespace.bytes + _array(names).encode(), usedforsecurity=False).digest()
    return UUID(int=int.from_bytes(digest[:16], "big") & _FREE | _VERSION_5)
