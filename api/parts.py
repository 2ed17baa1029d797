"""The running product as handlers see it; api/composition/rest.py makes it."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from api.auth import KeyRing
from api.metrics import Metrics
from api.rates import Rates
from api.reading import ReadModels
from application.ports import Clock
from application.writer import CommandWriter
from infrastructure.carriers.decoders import Decoders
from infrastructure.carriers.shop_qr import ShopQr
from infrastructure.order_signatures import OrderSigner
from infrastructure.pay_codes import PayCodes
from infrastructure.request_tokens import RequestTokens

if TYPE_CHECKING:
    from infrastructure.announced_end import AnnouncedEnd
    from infrastructure.devices import Devices
    from infrastructure.event_log import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    ledger: str
    clock: Clock
    writer: CommandWriter
    events: "EventLog"
    announced: "AnnouncedEnd"
    reads: ReadModels
    keys: KeyRing
    rates: Rates
    metrics: Metrics
    pay_codes: PayCodes
    devices: "Devices"
    public_url: str
    """What the URLs that we give out begin with."""
    shop_qr: ShopQr
    decoders: Decoders
    request_tokens: RequestTokens
    order_signer: OrderSigner
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process begins to end: what follows live ends then."""


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)
