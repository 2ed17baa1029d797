"""NFC: an NDEF message (NFC Forum) with a pay code in one URI record."""

from typing import Final

import ndef

_URI: Final = "tally:pay?c="


def ndef_message(code: str) -> bytes:
    """One URI record `tally:pay?c=CODE`."""
    return b"".join(ndef.message_encoder([ndef.UriRecord(_URI + code)]))
