"""A lock on one file, which the operating system ends with the process that holds it. No torch."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

LOCK_WAIT = 10.0
"""Seconds to wait for another run that saves under the same name."""

LOCK_PAUSE = 0.02
"""Seconds between two looks."""


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _let_go(lock: Path, file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        os.close(file)
        # Nothing is deleted here that is open: whoever waits for it deletes it.
        with suppress(OSError):
            lock.unlink()

else:
    import fcntl

    def _lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            # Some network drives know no locks. Files are replaced as a whole there too.
            return error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
        return True

    def _let_go(lock: Path, file: int) -> None:
        # Before the lock ends: afterwards it may be another one's.
        with suppress(OSError):
            lock.unlink()
        os.close(file)


def lock_of(path: Path) -> Path:
    """The file that is locked instead of a file, which is replaced when it is saved."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def locking(path: Path) -> Generator[bool, None, None]:
    """Keep others from saving this file. False where somebody else does, for too long.

    What a killed process leaves behind is a file that nobody holds, and counts for nothing.

    Raises:
        OSError: no lock can be made there.
    """
    lock = lock_of(path)
    deadline = monotonic() + LOCK_WAIT
    while (held := _held(lock)) is None and monotonic() <= deadline:
        sleep(LOCK_PAUSE)
    try:
        yield held is not None
    finally:
        if held is not None:
            _let_go(lock, held)


def _held(lock: Path) -> int | None:
    """The open file, locked; None where another one has it."""
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        # Windows says so while another process deletes the file.
        if sys.platform != "win32":
            raise
        return None
    # Whoever had it before may have deleted it since it was opened.
    if _lock(file) and _is_at(lock, file):
        return file
    os.close(file)
    return None


def _is_at(lock: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), lock.stat())
    except OSError:
        return False
