"""GET /v1/reports/carriers."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import code_examples
from api.answers import read
from api.auth import READS
from api.code_answer_models import CarriersReport
from api.operations import operation
from api.parts import parts_of
from api.problems import invalid, parameter_error
from api.queries import ReportQuery
from api.reading import deadline_of, needed
from projections.payments import carriers_queries

router = APIRouter(tags=["statements"])


@router.get(
    "/v1/reports/carriers",
    **operation(
        "reportCarriers",
        "How much came by which carrier",
        description=(
            "By booking date (UTC), `to` exclusive. What is captured counts on its day; the "
            "payment on the day of its first capture. Refunds are payments of their own."
        ),
        allowed=READS,
        waits=True,
        positioned=True,
        answer=CarriersReport,
        example=code_examples.CARRIERS_REPORT,
    ),
)
async def report_carriers(request: Request, query: Annotated[ReportQuery, Query()]) -> Response:
    if query.from_ > query.to:
        told = "`from` must not be after `to`."
        raise invalid([parameter_error("from", "too_large", told)])
    reads = parts_of(request).reads
    async with reads.at("payments", needed(query), deadline_of(request)) as view:
        items = await carriers_queries.carriers(view, query.from_, query.to)
    return read({"items": items, "position": view.position}, view.position)
