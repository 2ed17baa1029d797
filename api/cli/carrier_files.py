"""What carries a pay code, in files: written for the payer, sent to be read for the cashier."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from api.cli.output import CannotRun
from infrastructure.carriers.failures import CarrierUnavailable
from infrastructure.carriers.nfc import ndef_message
from infrastructure.carriers.pictures import barcode_png, qr_png
from infrastructure.carriers.sound import wav
from infrastructure.private_files import write_private

Png = Annotated[Path | None, typer.Option(help="File of a QR code, a picture.")]
Barcode = Annotated[Path | None, typer.Option(help="File of a barcode, a picture (PNG).")]
Ndef = Annotated[Path | None, typer.Option(help="File of an NFC message.")]
Wav = Annotated[Path | None, typer.Option(help="File of a sound.")]


class Kind(NamedTuple):
    carrier: str
    media_type: str
    made: Callable[[str], bytes]


KINDS: Final = {
    "png": Kind("qr", "image/png", qr_png),
    "barcode": Kind("barcode", "image/png", barcode_png),
    "ndef": Kind("nfc", "application/octet-stream", ndef_message),
    "wav": Kind("sonic", "audio/wav", wav),
}
"""By the option that names the file."""


def write_carriers(code: str, files: dict[str, Path | None]) -> None:
    """Each for its owner alone: who has the file has the code. Raises CannotRun."""
    for option, file in files.items():
        if file is None:
            continue
        try:
            write_private(file, KINDS[option].made(code))
        except OSError as error:
            raise CannotRun(f"{file} can't be written: {error.strerror or error}") from error
        except CarrierUnavailable:
            raise CannotRun("sound isn't installed here: `make setup` installs it") from None
