"""The process that reads what others upload: C and C++ on hostile bytes, away from the API.

It is given a kind and a content on stdin, and answers a line of JSON, until stdin ends. What
crashes here, takes more than its memory or its time, ends the process: see decoders.py.
"""

import json
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import Final

from infrastructure.carriers.failures import CarrierUnavailable, TooLarge
from infrastructure.carriers.nfc import read_ndef
from infrastructure.carriers.pictures import read_qr, read_qr_or_barcode
from infrastructure.carriers.sound import read_wav

READERS: Final[tuple[Callable[[bytes], list[str]], ...]] = (
    read_qr,
    read_qr_or_barcode,
    read_ndef,
    read_wav,
)
REQUEST: Final = struct.Struct(">BI")
"""Which of the readers, and how many bytes follow."""
MAX_MEMORY: Final = 1024**3
"""Of addresses; a picture of the largest size needs a quarter of it."""
MAX_TIME_S: Final = 10


def main() -> None:
    if sys.platform == "linux":  # elsewhere the system may refuse
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    # Ctrl-C in a terminal goes to all of its processes: the API ends us, when it has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := requests.read(REQUEST.size):
        reader, length = REQUEST.unpack(header)
        content = requests.read(length)
        # Its default action ends the process, whatever C is doing.
        signal.alarm(MAX_TIME_S)
        answer = json.dumps(_read(READERS[reader], content))
        signal.alarm(0)
        answers.write(answer.encode() + b"\n")
        answers.flush()


def _read(reader: Callable[[bytes], list[str]], content: bytes) -> dict[str, object]:
    try:
        return {"texts": reader(content)[:2]}  # two are several: no answer is longer than those
    except TooLarge as error:
        return {"too_large": str(error)}
    except CarrierUnavailable:
        return {"unavailable": True}


if __name__ == "__main__":
    main()
