"""`tally keys`: API keys of named callers."""

from typing import Annotated

import typer

from api.cli.output import AsJson, CannotRun, answer_is_no, out, print_json, say, table
from api.cli.product import DataOption
from api.cli.store import check, connect, opened_store, secrets_of
from api.composition.clock import clock
from domain.times import time_text
from infrastructure.keys import KeyRefused, create_key, list_keys, revoke_key
from infrastructure.settings import Settings

keys = typer.Typer(help="API keys of named callers.", no_args_is_help=True)


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="The caller; a new key of its name is the same one.")],
    role: Annotated[str, typer.Option(help="client, auditor, reporter or admin.")],
    data: DataOption = None,
    as_json: AsJson = False,
) -> None:
    """Makes a key, which is shown this once."""
    settings = Settings.load(data=data)
    with opened_store(settings) as dsn:
        secrets = secrets_of(settings)
        check(dsn, settings, secrets)
        with connect(dsn) as conn:
            try:
                key_id, key = create_key(conn, secrets.current, caller=name, role=role, clock=clock)
            except KeyRefused as refused:
                raise CannotRun(str(refused)) from refused
    if as_json:
        print_json({"key_id": key_id, "name": name, "role": role, "key": key})
    else:
        out.print(key)
        say(f"{key_id}: the key of {name} ({role}). It is not shown again.")


@keys.command(name="list")
def list_(data: DataOption = None, as_json: AsJson = False) -> None:
    """Lists all keys, revoked ones too; never the keys themselves."""
    with opened_store(Settings.load(data=data)) as dsn, connect(dsn) as conn:
        found = [
            {
                "key_id": key.key_id,
                "name": key.caller,
                "role": key.role,
                "created_at": time_text(key.created_at),
                "revoked_at": time_text(key.revoked_at) if key.revoked_at else None,
            }
            for key in list_keys(conn)
        ]
    if as_json:
        print_json({"items": found})
        return
    shown = table("key", "name", "role", "created", "revoked")
    for key in found:
        shown.add_row(*(value or "" for value in key.values()))
    out.print(shown)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `tally keys list` shows it.")],
    data: DataOption = None,
    as_json: AsJson = False,
) -> None:
    """Ends a key within a second, for ever."""
    with opened_store(Settings.load(data=data)) as dsn, connect(dsn) as conn:
        revoked = revoke_key(conn, key_id, clock=clock)
    if as_json:
        print_json({"key_id": key_id, "revoked": revoked})
    elif revoked:
        out.print(f"{key_id} is revoked.")
    else:
        say(f"no key is called {key_id}")
    if not revoked:
        raise answer_is_no()
