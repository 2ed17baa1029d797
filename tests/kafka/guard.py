"""Runs a command in the background and kills it once nobody holds LOCK exclusively any more.

guard.py LOCK PID_FILE COMMAND…

The kernel lets go of the lock however its holder ends. The command is this process's own child,
so that its pid can be no other process's when it is killed. Returns when PID_FILE is written.
"""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

lock_name, pid_file, *command = sys.argv[1:]
lock = Path(lock_name).open()  # noqa: SIM115 (it stays open as long as this process lives)
reading, writing = os.pipe()
if os.fork():
    os.close(writing)
    os.read(reading, 1)  # ends when the child has closed it, or has ended
    sys.exit()

child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
Path(pid_file).write_text(str(child.pid))
os.close(writing)


def watch() -> None:
    fcntl.flock(lock, fcntl.LOCK_SH)
    child.kill()


threading.Thread(target=watch, daemon=True).start()
child.wait()
