"""Which feed a command reads, and what that needs."""

from typing import Annotated, Literal

import typer

from api.cli.output import CannotRun
from infrastructure.settings import Settings

FeedOption = Annotated[
    Literal["store", "kafka"] | None,
    typer.Option("--feed", help="What is read: the store (default), or its mirror in Kafka."),
]


def needs_kafka(settings: Settings) -> None:
    """Raises CannotRun where no broker is named."""
    if settings.kafka_bootstrap is None:
        raise CannotRun("no Kafka broker is named: set TALLY_KAFKA_BOOTSTRAP=host:port")


def with_feed(settings: Settings) -> Settings:
    """The settings, once what their feed needs is there. Raises CannotRun."""
    if settings.feed == "kafka":
        needs_kafka(settings)
    return settings
