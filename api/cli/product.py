"""Where the running product is, and with which keys we speak to it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from api.cli.folder import Folder
from api.cli.output import CannotRun
from infrastructure.settings import Settings

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of `tally up`.  [default: .tally]")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", help="URL of the product, with TALLY_KEY (and TALLY_ADMIN_KEY) in place of --data."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A running product as a client sees it."""

    url: str
    key: str
    admin_key: str | None

    def key_of_admin(self) -> str:
        """The admin's key; raises CannotRun where there is none."""
        if self.admin_key is None:
            raise CannotRun("this needs an admin's key: set TALLY_ADMIN_KEY")
        return self.admin_key


def find_product(data: Path | None, url: str | None) -> Product:
    """The product at `url`, or the one that `tally up` runs with the folder `data`."""
    data = Settings.load(data=data).data
    if url is not None:
        key = os.environ.get("TALLY_KEY")
        if not key:
            raise CannotRun("--url needs a key: set TALLY_KEY to one of `tally keys create`")
        return Product(
            url=url.rstrip("/"), key=key, admin_key=os.environ.get("TALLY_ADMIN_KEY") or None
        )
    folder = Folder(data)
    server, keys = folder.server(), folder.keys()
    if server is None or keys is None:
        raise CannotRun(
            f"nothing runs in {data}: start `tally up --data {data}`, or give --url with TALLY_KEY"
        )
    return Product(url=server["url"], key=keys["client"], admin_key=keys["admin"])
