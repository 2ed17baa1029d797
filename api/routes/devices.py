"""POST /v1/devices, GET /v1/devices/{id}, POST /v1/devices/{id}/online|revoke."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import code_examples, paths
from api.answers import read
from api.auth import PAYS, READS
from api.code_answer_models import Device, DeviceMade
from api.code_models import DeviceBody
from api.commands import carry_out, decided, identity, respond
from api.models import EmptyBody
from api.operations import operation
from api.parts import parts_of
from api.paths import DeviceIdInPath
from api.problems import Problem
from api.queries import Read
from api.reading import deadline_of, needed
from api.requests import read_body
from application.commands import BringDeviceOnline, RegisterDevice, RevokeDevice
from infrastructure.devices import random_handle
from projections.payments import codes_queries

router = APIRouter(tags=["pay codes"])


@router.post(
    "/v1/devices",
    **operation(
        "registerDevice",
        "Register a phone that makes codes of its own, offline",
        description=(
            "`secret` (base32 of 20 random bytes) is shown in this answer alone: a replay has "
            "null, then revoke the device and register it anew."
        ),
        allowed=PAYS,
        body=DeviceBody,
        body_example=code_examples.DEVICE,
        status=201,
        answer=DeviceMade,
        example=code_examples.DEVICE_MADE,
        problems=("account_unknown", "account_closed", "currency_mismatch"),
    ),
)
async def register_device(request: Request) -> Response:
    body, meaning = await read_body(request, DeviceBody)
    own = identity(request)
    devices = parts_of(request).devices
    made = None if own["dry_run"] else await devices.make(own["id"])
    command = RegisterDevice(
        **own,
        fingerprint=meaning,
        account=body.debit_account,
        currency=body.currency,
        handle=made.handle if made else random_handle(),
        per_payment_max_minor=body.per_payment_max,
        offline_total_max_minor=body.offline_total_max,
    )
    try:
        answer = await decided(request, command)
    except Problem as problem:
        if made and problem.code in ("account_unknown", "account_closed", "currency_mismatch"):
            await devices.forget(command.id)
        raise
    secret = made.secret if made and not answer.replayed else None
    return respond(command, answer, {**answer.body, "secret": secret}, status=201)


@router.get(
    "/v1/devices/{id}",
    **operation(
        "getDevice",
        "A device, without its secret",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Device,
        example=code_examples.DEVICE_READ,
        problems=("not_found",),
    ),
)
async def get_device(
    request: Request, id: DeviceIdInPath, query: Annotated[Read, Query()]
) -> Response:
    device = paths.payment_id(id)
    position, found = await parts_of(request).reads.find(
        "payments",
        device,
        needed(query),
        deadline_of(request),
        lambda view: codes_queries.device(view, device),
    )
    return read(found, position)


@router.post(
    "/v1/devices/{id}/online",
    **operation(
        "bringDeviceOnline",
        "Say that the device is in touch: its offline total starts anew",
        description="A step of time whose code was spent stays spent.",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=Device,
        example=code_examples.DEVICE_READ,
        problems=("not_found", "device_revoked"),
    ),
)
async def bring_device_online(request: Request, id: DeviceIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = BringDeviceOnline(
        **identity(request), fingerprint=meaning, device=paths.payment_named(id)
    )
    return await carry_out(request, command)


@router.post(
    "/v1/devices/{id}/revoke",
    **operation(
        "revokeDevice",
        "End a device for good: no code of it is taken any more",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=Device,
        example=code_examples.DEVICE_REVOKED,
        problems=("not_found",),
    ),
)
async def revoke_device(request: Request, id: DeviceIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = RevokeDevice(**identity(request), fingerprint=meaning, device=paths.payment_named(id))
    return await carry_out(request, command)
