"""/v1/status, /livez, /readyz, /metrics."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import examples
from api.answer_models import Ready, Status
from api.answers import answered, read
from api.auth import READS
from api.metrics import CONTENT_TYPE
from api.operations import operation
from api.parts import parts_of
from api.problems import Problem

router = APIRouter(tags=["operations"])


@router.get(
    "/v1/status",
    **operation(
        "getStatus",
        "Where the store and the read models stand",
        allowed=READS,
        positioned=True,
        answer=Status,
        example=examples.STATUS,
    ),
)
async def get_status(request: Request) -> Response:
    status = await parts_of(request).reads.status()
    return read(status, status["end"])


@router.get(
    "/livez",
    **operation(
        "getLiveness",
        "Whether the process lives",
        allowed=None,
        answer=Ready,
        example={"status": "ok"},
    ),
)
async def get_liveness(request: Request) -> Response:
    return answered({"status": "ok"})


@router.get(
    "/readyz",
    **operation(
        "getReadiness",
        "Whether commands and reads can be served",
        allowed=None,
        answer=Ready,
        example={"status": "ok"},
        problems=("store_unavailable",),
    ),
)
async def get_readiness(request: Request) -> Response:
    parts = parts_of(request)
    if parts.stopping.is_set():
        raise Problem("store_unavailable", "This process is ending; ask another.")
    if not parts.writer.alive:
        raise Problem("store_unavailable", "No writer decides now; ask again in a moment.")
    await parts.events.end()  # the store answers, and its tables are there
    return answered({"status": "ok"})


@router.get(
    "/metrics",
    **operation(
        "getMetrics",
        "Measurements in Prometheus' text format",
        allowed=None,
        answer=None,
        example=None,
        problems=("store_unavailable",),
        also={
            "text/plain": {
                "schema": {"type": "string"},
                "example": 'tally_projection_lag{projection="balances"} 0.0\n',
            }
        },
    ),
)
async def get_metrics(request: Request) -> Response:
    parts = parts_of(request)
    content = parts.metrics.exposition(
        queued=parts.writer.queued,
        status=await parts.reads.status(),
        halted=await parts.reads.halted(),
        pool=parts.reads.pool_stats(),
    )
    return Response(content, media_type=CONTENT_TYPE)
