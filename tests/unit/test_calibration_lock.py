"""Runs that save under one name wait for each other, and for none that is gone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from calibration_files import made
from patience import HANG
from stepcache.cache_core.calibration import lock
from stepcache.cache_core.calibration.file import read, save, write

ROOT = Path(__file__).resolve().parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SAVES = """
import importlib, importlib.util, os, sys
from pathlib import Path

root, seed, target = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "pack", root + "/__init__.py", submodule_search_locations=[root]
)
module = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
file = importlib.import_module("pack.cache_core.calibration.file")


def stays_here(_):
    print("saving", flush=True)
    sys.stdin.read()


os.fsync = stays_here
file.save(Path(target), file.read(Path(seed)), add=True)
"""


@contextmanager
def another_run_saves(file: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is in the middle of saving; killed on the way out, if it is not before."""
    seed = folder / "seed.json"
    write(seed, made(samples=1))
    command = [sys.executable, "-I", "-c", SAVES, str(ROOT), str(seed), str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "saving\n"
            yield process
        finally:
            process.kill()


def test_what_a_killed_run_has_locked_is_free(tmp_path: Path) -> None:
    file = tmp_path / "calibrations" / "mine.json"
    save(file, made(samples=1), add=True)
    with another_run_saves(file, tmp_path) as process:
        process.kill()
    assert lock.lock_of(file).exists(), "it was killed while it had the lock"
    saved = save(file, made(samples=1), add=True)
    assert (saved.path, saved.calibration.samples) == (file, 2)
    assert saved.remarks == ("added to what mine.json held (pictures before: 1, now: 2)",)
    assert not lock.lock_of(file).exists()


def test_a_run_that_goes_on_saving_sends_the_next_to_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOCK_WAIT", 0.0)
    file = tmp_path / "calibrations" / "mine.json"
    with another_run_saves(file, tmp_path):
        saved = save(file, made(samples=1), add=True)
    assert saved.path == file.with_name("mine-2.json")
    assert saved.remarks == (
        "saved as mine-2.json, because another run is writing mine.json just now",
    )
    assert read(saved.path) == saved.calibration


def test_a_lock_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    with ExitStack() as other:
        assert other.enter_context(lock.locking(file))

        def ends_meanwhile(seconds: float) -> None:
            waited.append(seconds)
            other.close()

        monkeypatch.setattr(lock, "sleep", ends_meanwhile)
        assert save(file, made(), add=True).remarks == ()
    assert waited == [lock.LOCK_PAUSE]
    assert names(file.parent) == ["mine.json"]


@pytest.mark.parametrize("content", ["", "0123456789abcdef"])
def test_a_file_that_nobody_has_locked_is_no_lock(file: Path, content: str) -> None:
    """As versions before this one left behind, too."""
    lock.lock_of(file).write_text(content, encoding="utf-8")
    assert save(file, made(), add=True).remarks == ()
    assert names(file.parent) == ["mine.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no file that is open")
def test_a_lock_that_was_deleted_since_it_was_opened_is_none(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its owner and whoever makes a new one would both believe to have it."""
    opened: list[int] = []
    take = lock._lock

    def after_it_was_deleted(descriptor: int) -> bool:
        opened.append(descriptor)
        if len(opened) == 1:
            lock.lock_of(file).unlink()
        return take(descriptor)

    monkeypatch.setattr(lock, "_lock", after_it_was_deleted)
    with lock.locking(file) as is_locked:
        assert is_locked
        assert len(opened) == 2
        assert lock.lock_of(file).exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no drives without locks")
@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_drive_without_locks_is_saved_to(
    file: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    import fcntl

    def knows_none(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", knows_none)
    assert save(file, made(), add=True).remarks == ()
    assert names(file.parent) == ["mine.json"]


def test_of_many_threads_one_has_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LOCK_WAIT", HANG)
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with lock.locking(file) as is_locked:
                assert is_locked
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert names(file.parent) == []
