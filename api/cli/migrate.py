"""`tally migrate`: brings the store up to this version, as its owner."""

from typing import Annotated

import typer

from api.cli.folder import Folder
from api.cli.output import AsJson, out, print_json
from api.cli.product import DataOption
from api.cli.store import migrated, password_in
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.migrations import migrate as migrate_store
from infrastructure.settings import Settings


def migrate(
    data: DataOption = None,
    dsn: Annotated[
        str | None,
        typer.Option(help="Owner's DSN; better given as TALLY_OWNER_DSN."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Migrates the store. With a TALLY_DSN beside it, tally_app gets the password in there."""
    settings = Settings.load(data=data, owner_dsn=dsn)
    if settings.owner_dsn is not None:
        app_dsn = settings.dsn.get_secret_value() if settings.dsn else ""
        applied = migrate_store(
            settings.owner_dsn.get_secret_value(),
            ledger=settings.ledger,
            app_password=password_in(app_dsn),
        )
    else:
        folder = Folder(settings.data)
        folder.make()
        with EmbeddedPostgres(folder.path) as server:
            applied = migrated(settings, server.owner_dsn)
    if as_json:
        print_json({"applied": applied})
    else:
        out.print("\n".join(applied) if applied else "The store is up to date.")
