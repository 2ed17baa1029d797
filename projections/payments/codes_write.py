"""Writes what the fold makes of pay codes and devices.

Rows are read at the watermark as they are: a pay code's say at which position each thing was, and
a device has a row for every event of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.feed import Record
from projections.payments.codes import DeviceState, devices_needed, fold_codes
from projections.tables import sql
from projections.writing import insert_rows, update_rows

_KNOWN = """
SELECT d.id, last.position, last.state, last.offline_spent
FROM tally_read.payments_devices{g} d CROSS JOIN LATERAL (
    SELECT position, state, offline_spent FROM tally_read.payments_devices_history{g}
    WHERE device = d.id ORDER BY position DESC LIMIT 1) last
WHERE d.id = ANY(%s)
"""

_PAY_CODES = """tally_read.payments_pay_codes{g} (id, issued_position, debit_account,
    currency, max_amount, confirm_above, expires_at, created_at)"""
_PAY_CODE_TYPES = ("uuid", "int8", "text", "text", "int8", "int8", "timestamptz", "timestamptz")
_ENDED = "tally_read.payments_pay_codes{g} (id, ended_position, payment)"
_DEVICES = """tally_read.payments_devices{g} (id, registered_position, handle, debit_account,
    currency, per_payment_max, offline_total_max, created_at)"""
_DEVICE_TYPES = ("uuid", "int8", "text", "text", "text", "int8", "int8", "timestamptz")
_HISTORY = "tally_read.payments_devices_history{g} (device, position, state, offline_spent)"
_HISTORY_TYPES = ("uuid", "int8", "text", "int8")


def apply_codes(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    folded = fold_codes(records, _known_devices(connection, generation, devices_needed(records)))
    insert_rows(connection, _PAY_CODES, _PAY_CODE_TYPES, generation, folded.issued)
    update_rows(connection, _ENDED, generation, folded.ended)
    insert_rows(connection, _DEVICES, _DEVICE_TYPES, generation, folded.registered)
    states = ((device, *state) for device, state in folded.device_states)
    insert_rows(connection, _HISTORY, _HISTORY_TYPES, generation, states)


def _known_devices(
    connection: Connection[Any], generation: int, devices: Collection[UUID]
) -> dict[UUID, DeviceState]:
    """What the read model holds of them."""
    if not devices:
        return {}
    rows = connection.execute(sql(_KNOWN, generation), (list(devices),))
    return {device: DeviceState(*state) for device, *state in rows}
