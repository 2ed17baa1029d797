"""Runs the parts of the product as processes, and keeps them running until it is asked to stop.

A part holds the reading end of a pipe as its standard input. The writing end is ours: however we
end, even by SIGKILL, the part reads its end there and ends too (`end_with_supervisor`).
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from select import select
from socket import socketpair
from types import FrameType, TracebackType
from typing import IO, Any, Final, Self

FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 10.0
HEALTHY_AFTER_S: Final = 30.0
"""A part that ran as long as this is started again at once; before, the waits double."""
GRACE_S: Final = 15.0
"""How long a part may drain before it is killed."""
LOG_BYTES: Final = 10_000_000
"""What a log may grow to, and a second's more, before it is put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    arguments: tuple[str, ...]
    """Of `tally`; never a secret: anyone on the machine may read them."""
    pass_fds: tuple[int, ...] = ()
    may_wait: bool = False
    """The product is ready without it: what it needs (a broker) may come later."""
    like: str | None = None
    """The name of a part that does the same; they stop at the same time."""


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP ask to stop; they and SIGCHLD end a wait."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self._reading, self._writing = socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(
            self._writing.fileno(), warn_on_full_buffer=False
        )
        self._before = {
            number: signal.signal(number, self._ask)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reading.close()
        self._writing.close()

    def wait(self, timeout_s: float) -> None:
        """Waits for a signal, at most that long."""
        if select([self._reading], [], [], max(timeout_s, 0))[0]:
            self._reading.recv(4096)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


class _Child:
    """One part and the process it has now, if it has one."""

    def __init__(self, part: Part, program: Sequence[str], log: Path | None) -> None:
        self.part = part
        self._command = (*program, *part.arguments)
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.starts_at = 0.0
        self._started_at = 0.0
        self._wait_s = FIRST_WAIT_S

    def start(self, environment: Mapping[str, str]) -> None:
        with _appended(self.log) as log:
            self.process = subprocess.Popen(  # noqa: S603 (a program and arguments of ours)
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=self.part.pass_fds,
                # Ctrl-C reaches everything in a terminal's group: we alone say when to stop.
                start_new_session=True,
            )
        self._started_at = time.monotonic()

    def ended(self) -> int | None:
        """The exit code of a process that ended since it was last looked at."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self._forget()
        now = time.monotonic()
        if now - self._started_at > HEALTHY_AFTER_S:
            self._wait_s = FIRST_WAIT_S
        self.starts_at = now + self._wait_s
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)
        return code

    def ask_to_stop(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def stop(self) -> bool:
        """Waits for its end, once it was asked; False where it had to be killed."""
        if self.process is None:
            return True
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        finally:
            self._forget()
        return True

    def _forget(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None


class Supervisor:
    """Starts parts in the order given, starts again what dies, and stops them in that order."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        program: Sequence[str],
        environment: Mapping[str, str],
        logs: Path | None,
        say: Callable[[str], None],
        changed: Callable[[dict[str, int]], None],
    ) -> None:
        """`changed` is given the pids by name whenever a part was started. Without a folder of
        `logs` the parts write to our own stderr.

        A part is `program` with the part's arguments, in that environment alone.
        """
        self._children = [
            _Child(part, program, logs and logs / f"{part.name}.log") for part in parts
        ]
        self._environment = environment
        self._say = say
        self._changed = changed

    def start(self) -> None:
        for child in self._children:
            child.start(self._environment)
        self._tell()

    def failed_to_start(self) -> str | None:
        """What to say of a part that ended at the first start; None while all run."""
        for child in self._children:
            if child.part.may_wait:
                continue
            code = child.ended()
            if code is not None:
                return f"{child.part.name} {_how_it_ended(code)}: {_why(child.log)}"
        return None

    def watch(self, signals: StopSignals, *, also: Callable[[], None] | None = None) -> None:
        """Keeps the parts running until a signal asks to stop; calls `also` every second or so."""
        while not signals.asked:
            if also:
                also()
            for child in self._children:
                self._look_after(child)
                _put_aside(child.log)
            waiting = [child.starts_at for child in self._children if child.process is None]
            signals.wait(min([1.0, *(at - time.monotonic() for at in waiting)]))

    def stop(self) -> None:
        for _, alike in groupby(self._children, lambda child: child.part.like or child.part.name):
            stopping = list(alike)
            for child in stopping:
                child.ask_to_stop()
            for child in stopping:
                if not child.stop():
                    self._say(f"{child.part.name} did not stop in {GRACE_S:.0f} s and was killed")

    def _look_after(self, child: _Child) -> None:
        code = child.ended()
        if code is not None:
            wait_s = max(child.starts_at - time.monotonic(), 0)
            log = f" (its log: {child.log})" if child.log else ""
            self._say(
                f"{child.part.name} {_how_it_ended(code)}; it starts again in {wait_s:.1f} s{log}"
            )
        elif child.process is None and time.monotonic() >= child.starts_at:
            child.start(self._environment)
            self._tell()

    def _tell(self) -> None:
        self._changed(
            {child.part.name: child.process.pid for child in self._children if child.process}
        )


def end_with_supervisor() -> None:
    """In a part: ends this process, draining first, once its standard input has ended."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-supervisor", daemon=True).start()


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


@contextmanager
def _appended(log: Path | None) -> Iterator[IO[Any]]:
    """The file to write to."""
    if log is None:
        yield sys.stderr
        return
    with log.open("ab") as file:
        yield file


def _put_aside(log: Path | None) -> None:
    """Empties a large log, of which one copy is kept.

    The part has it open, for appending: its next line is the first one then. One that comes
    between copy and cut is lost.
    """
    with suppress(OSError):  # no room for a copy, say: the parts are still to be looked after
        if log is not None and log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _why(log: Path | None) -> str:
    """The last line of its log."""
    if log is None:
        return "the log above says why"
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"
