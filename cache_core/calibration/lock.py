"""A lock on one file: a second file, which must not exist yet. No torch."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep, time

LOCK_WAIT = 10.0
"""Seconds to wait for another run that saves under the same name."""

LOCK_AGE = 60.0
"""Seconds after which a lock is that of a run which is gone: saving takes less than one."""

LOCK_PAUSE = 0.02
"""Seconds between two looks."""

LOCK_DOUBT = 0.2
"""Seconds in which two runs may take over the same lock; the last one has it."""


def lock_of(path: Path) -> Path:
    """The lock of a file."""
    return path.with_name(f"{path.name}.lock")


@contextmanager
def locking(path: Path) -> Generator[bool, None, None]:
    """Keep others from saving this file. False where somebody else does, for too long.

    A file that must not exist yet works between processes and on network drives.

    Raises:
        OSError: no lock can be made there.
    """
    lock, mark = lock_of(path), secrets.token_hex(8).encode()
    deadline = monotonic() + LOCK_WAIT
    while not (is_locked := _is_made(lock, mark) or _is_taken_over(lock, mark)):
        if monotonic() > deadline:
            break
        sleep(LOCK_PAUSE)
    try:
        yield is_locked
    finally:
        if is_locked:
            with suppress(OSError):
                if lock.read_bytes() == mark:
                    lock.unlink()


def _is_made(lock: Path, mark: bytes) -> bool:
    try:
        with lock.open("xb") as file:
            file.write(mark)
    except FileExistsError:
        return False
    except PermissionError:
        # Windows says so while another process deletes the file.
        if os.name != "nt":
            raise
        return False
    return True


def _is_taken_over(lock: Path, mark: bytes) -> bool:
    """Whether the lock was that of a run which is gone, and is now that of this one."""
    try:
        if time() - lock.stat().st_mtime < LOCK_AGE:
            return False
        mine = lock.with_name(f".stepcache-{mark.decode()}.tmp")
        try:
            mine.write_bytes(mark)
            mine.replace(lock)
        finally:
            mine.unlink(missing_ok=True)
        sleep(LOCK_DOUBT)
        return lock.read_bytes() == mark
    except FileNotFoundError:
        return False
