"""Every setting, read in one place: `TALLY_…` environment variables, or arguments of a command.

docs/operations.md lists them for operators; a test holds it to this class.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infrastructure.cannot_start import CannotStart

PREFIX: Final = "TALLY_"

OTHERS: Final = frozenset({"TALLY_KEY", "TALLY_ADMIN_KEY"})
"""Variables of the commands that talk to a running product: an API key each."""

_TESTS: Final = "TALLY_TEST_"

Secret = Annotated[SecretStr, Field(min_length=16)]
CodePrefix = Annotated[str, Field(pattern=r"^[0-9]{4}$")]

_log = logging.getLogger(__name__)


class SettingsError(CannotStart):
    """A setting is wrong. The message names its variable, never its value."""


class Settings(BaseSettings):
    """`Settings.load()`; a field `port` is the variable TALLY_PORT. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    dsn: SecretStr | None = None
    """The store, as the application's role (tally_app); without it: the embedded one in `data`."""

    owner_dsn: SecretStr | None = None
    """The store, as its owner; only `migrate` and `up` take it."""

    data: Path = Path(".tally")
    """The folder of the embedded PostgreSQL, the first API keys and the secret."""

    ledger: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] = "main"
    """The ledger's name, fixed in the store by the first migration."""

    secret: Secret | None = None
    """What hashes of API keys, tokens and signatures are made with, at least 16 characters; without
    it: the one kept in `data`."""

    secret_previous: Secret | None = None
    """While the secret is being changed: the one before."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address the API listens on."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8_000
    """Port of the API; 0 takes a free one."""

    serve_workers: Annotated[int, Field(ge=0, le=64)] = 1
    """Processes that take requests, beside one that writes; 0 is one process for both."""

    rate_limit: Annotated[int, Field(ge=1)] | None = None
    """Requests a second that a caller may make of one process; without it, as many as it likes."""

    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s/?#]+)*$")] | None = None
    """What the URLs that we give out begin with; without it: the API's own, host and port."""

    qr_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "ZZ"
    """Country in our QR codes, ISO 3166; ZZ is nowhere known."""

    qr_city: Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,13}[!-~])?$")] = "Anywhere"
    """City in our QR codes, at most 15 characters of ASCII."""

    qr_mcc: Annotated[str, Field(pattern=r"^[0-9]{4}$")] = "0000"
    """What kind of shops are in our QR codes: a merchant category code, ISO 18245."""

    pay_code_prefix: CodePrefix = "9700"
    """First four digits of the pay codes that this ledger issues."""

    device_prefix: CodePrefix = "9701"
    """First four digits of the codes that devices make offline; another than the pay codes'."""

    attempts_per_caller: Annotated[int, Field(ge=1)] = 100
    """Codes that were never issued, which a caller may try within a minute."""

    attempts_per_account: Annotated[int, Field(ge=1)] = 10
    """The same, for one account that is to be credited."""

    cache_accounts: Annotated[int, Field(ge=1)] = 100_000
    """Accounts that the writer keeps in memory, about half a KB each."""

    queue_size: Annotated[int, Field(ge=1)] = 10_000
    """Commands that wait for the writer at most; beyond it clients are told `overloaded`."""

    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Payments that one append takes at most, of those that came singly; 1 is no group commit."""

    snapshot_interval: Annotated[int, Field(ge=1)] = 1_000
    """Events of an account from one snapshot to the next."""

    read_pool_size: Annotated[int, Field(ge=1, le=100)] = 8
    """Connections of one API process for reads; the writer has its own."""

    store_timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """How long to wait for the store before a request is answered `store_unavailable`."""

    drain_timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    """How long a stopping process may take to answer what it has accepted."""

    feed: Literal["store", "kafka"] = "store"
    """What `tally project` and `tally rebuild` read: the store itself, or its mirror in Kafka."""

    kafka_bootstrap: Annotated[str, Field(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")] | None = None
    """Brokers to ask first, `host:port,host:port`; without it there is no Kafka."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How brokers are spoken to."""

    kafka_ca_file: Path | None = None
    """Certificates that a broker's must be signed by (PEM); without it: the system's."""

    kafka_certificate_file: Path | None = None
    """Our own certificate (PEM), for brokers that ask for one."""

    kafka_key_file: Path | None = None
    """Its key (PEM)."""

    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How to prove who we are, with a SASL protocol."""

    kafka_sasl_username: str | None = None
    """Our name at the broker."""

    kafka_sasl_password: SecretStr | None = None
    """Our password at the broker."""

    kafka_replication_factor: Annotated[int, Field(ge=1, le=32_767)] | None = None
    """Brokers that keep each record of topics that we make; without it: the broker's default."""

    kafka_min_insync_replicas: Annotated[int, Field(ge=1, le=32_767)] | None = None
    """Of them, those that must have a record; without it: the broker's default."""

    kafka_timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0
    """How long one transaction, or one request, may take."""

    mirror_batch_size: Annotated[int, Field(ge=1, le=10_000)] = 2_000
    """Events of one Kafka transaction, but for the last command, which comes whole."""

    mirror_takeover_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    """A mirror that was silent this long is taken over by another one that waits."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Of the JSON lines on stderr."""

    @field_validator("device_prefix")
    @classmethod
    def _another_prefix(cls, value: str, given: ValidationInfo) -> str:
        if value == given.data.get("pay_code_prefix"):
            raise ValueError("must be another than TALLY_PAY_CODE_PREFIX")
        return value

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Reads the environment; `overrides` that are not None go before it.

        Raises SettingsError, which names every wrong variable. An unknown TALLY_… variable is
        most likely a typing error: it is logged.
        """
        for name in _unknown(os.environ, cls.model_fields):
            _log.warning("%s is no setting: it is ignored", name)
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            wrong = "; ".join(
                f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
        raise SettingsError(wrong)


def _unknown(environment: Iterable[str], fields: Iterable[str]) -> list[str]:
    known = OTHERS | {PREFIX + field.upper() for field in fields}
    ours = (name for name in environment if name.startswith(PREFIX))
    return sorted(name for name in ours if name not in known and not name.startswith(_TESTS))
