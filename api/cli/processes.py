"""Which processes the product consists of, each list in the order in which they stop."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import typer

from api.cli.output import CannotRun
from api.supervisor import Part, StopSignals, Supervisor
from infrastructure.settings import Settings

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that take requests beside one that writes; 0 is one process for both.",
        show_default=False,
    ),
]

_READY_WITHIN_S: Final = 120.0
_READ_MODELS: Final = (("accounts", "balances"), ("statements", "payments"))
"""By process: with two, a slow one does not hold up the balances."""


class ApiParts(NamedTuple):
    parts: list[Part]
    environment: dict[str, str]
    """What they need of it besides the settings."""


@contextmanager
def api_parts(listener: socket.socket, *, workers: int) -> Iterator[ApiParts]:
    """What takes commands on that socket, and the writer. Raises CannotRun."""
    listens = listener.fileno()
    arguments = ("serve", "--supervised", "--fd", str(listens))
    if not workers:
        yield ApiParts([Part(name="serve", arguments=arguments, pass_fds=(listens,))], {})
        return
    with (
        TemporaryDirectory(prefix="tally-") as folder,  # which nobody else may enter
        socket.socket(socket.AF_UNIX) as meeting,
    ):
        path = Path(folder) / "writer"
        try:
            meeting.bind(str(path))
        except OSError as error:
            raise CannotRun(f"{path} can't be a socket ({error}): set TMPDIR to another") from error
        meeting.listen(workers)
        metrics = Path(folder) / "metrics"
        metrics.mkdir()
        serving = [
            Part(
                name=f"serve-{number}" if number > 1 else "serve",
                arguments=(*arguments, "--writer", str(path)),
                pass_fds=(listens,),
                like="serve",
            )
            for number in range(1, workers + 1)
        ]
        writing = Part(
            name="writer",
            arguments=("write", "--fd", str(meeting.fileno())),
            pass_fds=(meeting.fileno(),),
        )
        # prometheus_client's own: whichever process is asked tells what all of them have measured.
        yield ApiParts([*serving, writing], {"PROMETHEUS_MULTIPROC_DIR": str(metrics)})


def project_parts() -> list[Part]:
    return [
        Part(name=f"project-{'-'.join(names)}", arguments=("project", "--supervised", *names))
        for names in _READ_MODELS
    ]


def mirror_parts(settings: Settings) -> list[Part]:
    """None where there is no Kafka."""
    if settings.kafka_bootstrap is None:
        return []
    return [Part(name="mirror", arguments=("mirror", "--supervised"), may_wait=True)]


def answers_in_time(url: str, supervisor: Supervisor, signals: StopSignals) -> bool:
    """Waits until commands and reads are served; False where it was asked to stop before.

    Raises CannotRun where a part does not start.
    """
    deadline = monotonic() + _READY_WITHIN_S
    while not signals.asked:
        if failure := supervisor.failed_to_start():
            raise CannotRun(failure)
        if _answers(url):
            return True
        if monotonic() > deadline:
            raise CannotRun(f"the API was not ready within {_READY_WITHIN_S:.0f} s")
        signals.wait(0.05)
    return False


def _answers(url: str) -> bool:
    at = urlsplit(url)
    assert at.hostname
    connection = HTTPConnection(at.hostname, at.port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
