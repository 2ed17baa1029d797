"""NFC: an NDEF message (NFC Forum) with a pay code in one URI record."""

from itertools import islice
from typing import Final

import ndef

MAX_RECORDS: Final = 100

_URI: Final = "tally:pay?c="
_KNOWN: Final = {"urn:nfc:wkt:U": ndef.UriRecord}


def ndef_message(code: str) -> bytes:
    """One URI record `tally:pay?c=CODE`."""
    return b"".join(ndef.message_encoder([ndef.UriRecord(_URI + code)]))


def read_ndef(content: bytes) -> list[str]:
    """The codes of the URI records `tally:pay?c=CODE` in a message, none twice.

    Other records, like the one by which Android opens an app, are not looked at.
    """
    try:
        records = list(islice(ndef.message_decoder(content, known_types=_KNOWN), MAX_RECORDS + 1))
    except (ndef.DecodeError, ValueError):
        return []
    if len(records) > MAX_RECORDS:
        return []
    uris = (record.iri for record in records if isinstance(record, ndef.UriRecord))
    return list(dict.fromkeys(uri.removeprefix(_URI) for uri in uris if uri.startswith(_URI)))
