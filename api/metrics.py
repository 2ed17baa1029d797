"""What is measured of the API's processes, in Prometheus' text format."""

import os
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The library's own: a folder where the processes of one API keep what they measure."""
_gauge: Final = partial(Gauge, multiprocess_mode="mostrecent")
"""They are asked for when somebody wants to know: the process that was asked last knows best."""
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Of one process, or of those that share a folder for it.

    A registry of its own, so that two apps in a process don't mix.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._told = registry
        if _SHARED in os.environ:
            self._told = CollectorRegistry()
            MultiProcessCollector(self._told)  # type: ignore[no-untyped-call]
        self._requests = Counter(
            "tally_http_requests", "Answers", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "tally_http_request_seconds",
            "From a request's head to the end of its answer",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._commands = Counter(
            "tally_commands", "Commands decided", ("command", "outcome"), registry=registry
        )
        self._replays = Counter(
            "tally_replays", "Commands answered as they were the first time", registry=registry
        )
        self._batch_commands = Histogram(
            "tally_writer_batch_commands",
            "Commands decided together",
            buckets=_BATCH,
            registry=registry,
        )
        self._appended = Counter("tally_events_appended", "Events recorded", registry=registry)
        self._queued = _gauge("tally_writer_queued", "Commands that wait", registry=registry)
        self._end = _gauge("tally_store_end", "Last position of the store", registry=registry)
        self._position = _gauge(
            "tally_projection_position", "Where it stands", ("projection",), registry=registry
        )
        self._lag = _gauge(
            "tally_projection_lag",
            "Positions behind the store",
            ("projection",),
            registry=registry,
        )
        self._lag_seconds = _gauge(
            "tally_projection_lag_seconds",
            "Age of what it lacks",
            ("projection",),
            registry=registry,
        )
        self._halted = _gauge(
            "tally_projection_halted",
            "1 where an event stopped it: see its log",
            ("projection",),
            registry=registry,
        )
        self._waits = _gauge(
            "tally_executions_wait",
            "1 where scheduled payments and expired holds wait for the payments read model, which"
            " is halted or missing",
            registry=registry,
        )
        self._mirror = {
            name: _gauge(f"tally_mirror_{name}", told, registry=registry)
            for name, told in (
                ("position", "Up to where the events are in Kafka; 0 where no mirror ever ran"),
                ("lag", "Positions that the mirror is behind the store"),
                ("lag_seconds", "Age of what the mirror lacks"),
            )
        }
        self._pool = _gauge(
            "tally_pool", "Connections and who waits for one", ("of",), registry=registry
        )

        # Labels are looked up once, not at every request.
        self._of = cache(self._counters)
        self._decided = cache(self._commands.labels)

    def answered(self, method: str, route: str, status: int, took_s: float) -> None:
        # Methods are the client's words: those we don't know are one.
        known = method if method in {"GET", "POST", "PATCH", "HEAD"} else "other"
        count, seconds = self._of(known, route, status)
        count.inc()
        seconds.observe(took_s)

    def _counters(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return (
            self._requests.labels(method, route, status),
            self._seconds.labels(method, route),
        )

    def decided(self, command: str, outcome: str, *, replayed: bool) -> None:
        """`command`: `make_payment` ...; `outcome`: `accepted` or a refusal's code."""
        self._decided(command, outcome).inc()
        if replayed:
            self._replays.inc()

    def batch(self, commands: int, events: int) -> None:
        """Called by the writer's thread, once a batch."""
        self._batch_commands.observe(commands)
        self._appended.inc(events)

    def exposition(
        self,
        *,
        queued: int,
        status: Mapping[str, Any],
        halted: Mapping[str, bool],
        pool: Mapping[str, int],
    ) -> bytes:
        """All of it as text; `status` as GET /v1/status has it."""
        self._queued.set(queued)
        self._end.set(status["end"])
        for name, projection in status["projections"].items():
            self._position.labels(name).set(projection["position"])
            self._lag.labels(name).set(projection["lag"])
            self._lag_seconds.labels(name).set(projection["lag_s"])
        if mirror := status["mirror"]:
            self._mirror["position"].set(mirror["position"])
            self._mirror["lag"].set(mirror["lag"])
            self._mirror["lag_seconds"].set(mirror["lag_s"])
        for name, is_halted in halted.items():
            self._halted.labels(name).set(is_halted)
        self._waits.set(halted.get("payments", True))
        for name in ("pool_size", "pool_available", "requests_waiting"):
            self._pool.labels(name).set(pool.get(name, 0))
        return generate_latest(self._told)
