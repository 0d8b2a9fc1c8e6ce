"""Saving calibrations: many runs under one name, one after another and at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from calibration_files import SELF, made, table
from patience import HANG
from stepcache.cache_core.calibration import Place, RunFacts, lock
from stepcache.cache_core.calibration.file import lay_out, read, save, write
from stepcache.cache_core.calibration.names import NAME_LIMIT, safe_name
from stepcache.cache_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

OTHER = made(run=RunFacts("heun", "normal", 7, (4, 32, 32)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.json"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# One run after another.


def test_the_first_run_is_saved_as_it_is(file: Path) -> None:
    saved = save(file, made(), add=True)
    assert saved.path == file
    assert saved.remarks == ()
    assert read(file) == saved.calibration == lay_out(made()).calibration
    assert names(file.parent) == ["mine.json"]


def test_samples_add_up(file: Path) -> None:
    save(file, made(error=0.1), add=True)
    saved = save(file, made(error=0.4, samples=4), add=True)
    assert saved.path == file
    assert saved.remarks == ("added to what mine.json held (pictures before: 2, now: 6)",)
    assert read(file) == saved.calibration
    assert (saved.calibration.samples, saved.calibration.runs) == (6, 2)
    assert saved.calibration.table.rows[Place(SELF)][0][0] == pytest.approx((0.1 + 2 * 0.4) / 3)


def test_without_adding_the_file_is_replaced_whatever_it_holds(file: Path) -> None:
    for content in (b"", b"\xff", b"x" * 300_000):
        file.write_bytes(content)
        assert save(file, made(samples=3), add=False).path == file
        assert read(file).samples == 3
    assert save(file, OTHER, add=False).remarks == ()
    assert names(file.parent) == ["mine.json"]


def test_what_differs_gets_a_number_and_adds_up_there(file: Path) -> None:
    save(file, made(), add=True)
    before = file.read_bytes()
    saved = save(file, OTHER, add=True)
    assert saved.path == file.with_name("mine-2.json")
    why = "saved as mine-2.json, because mine.json differs in sampler"
    assert saved.remarks == (why,)
    again = save(file, OTHER, add=True)
    assert again.path == saved.path and again.calibration.samples == 4
    third = save(file, made(steps=5), add=True)
    assert third.path == file.with_name("mine-3.json")
    assert "mine.json differs in steps" in third.remarks[0]
    assert "mine-2.json differs in sampler, steps" in third.remarks[0]
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b" " * 300_000, b'{"attn": [1, 0]}'])
def test_what_cannot_be_read_is_not_overwritten(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    saved = save(file, made(), add=True)
    assert saved.path == file.with_name("mine-2.json")
    assert saved.remarks[0].startswith("saved as mine-2.json, because the calibration mine.json ")
    assert file.read_bytes() == content


def test_a_file_that_claims_too_many_samples_keeps_no_run_from_being_saved(file: Path) -> None:
    write(file, made(samples=10**9))
    saved = save(file, made(), add=True)
    assert saved.path == file.with_name("mine-2.json")
    assert "has 1000000002 at samples" in saved.remarks[0]


def test_an_interrupted_run_never_touches_a_whole_one(file: Path) -> None:
    save(file, made(), add=True)
    before = file.read_bytes()
    part = made(is_whole=False)
    for count in (1, 2):
        saved = save(file, part, add=True)
        assert saved.path == file.with_name("mine.partial.json")
        assert saved.calibration.samples == 2 * count
        assert "the run did not come to its end: mine.partial.json" in saved.remarks[-1]
    assert not read(saved.path).is_whole
    assert save(file, part, add=False).calibration.samples == 2
    assert file.read_bytes() == before
    assert names(file.parent) == ["mine.json", "mine.partial.json"]


def test_a_part_that_lies_in_the_place_of_a_whole_one_is_not_added_to(file: Path) -> None:
    write(file, made(is_whole=False))
    saved = save(file, made(), add=True)
    assert saved.path == file.with_name("mine-2.json")
    assert saved.remarks == ("saved as mine-2.json, because mine.json is but a part",)


def test_what_is_too_large_is_said_when_saving(file: Path) -> None:
    many = (Place(SELF), *(Place(SELF, index) for index in range(60)))
    large = made(table=table(200, 4, 0.1, many), schedule=())
    for count in (1, 2):
        saved = save(file, large, add=True)
        assert "single layers were left out" in saved.remarks[0]
        assert saved.path == file and saved.calibration.samples == 2 * count


def test_the_name_may_lack_its_ending_and_the_folder_is_made(tmp_path: Path) -> None:
    assert save(tmp_path / "new" / "flux.1", made(), add=True).path.name == "flux.1.json"
    assert save(tmp_path / "new" / "flux.1.json", OTHER, add=True).path.name == "flux.1-2.json"


def test_when_all_names_are_taken_nothing_is_lost_silently(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepcache.cache_core.calibration.file.MAX_NAMES", 2)
    file.write_text("")
    file.with_name("mine-2.json").write_text("")
    with pytest.raises(ConfigError, match="there are 2 calibrations named mine, and"):
        save(file, made(), add=True)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="files cannot be saved in the folder"):
        save(tmp_path / "file" / "mine.json", made(), add=True)


def test_a_saved_name_fits_the_file_system(tmp_path: Path) -> None:
    longest = safe_name("ß" * NAME_LIMIT)
    for _ in range(2):
        saved = save(tmp_path / longest, replace(made(), is_whole=False), add=True)
        assert saved.calibration.samples in (2, 4)


# Two runs at once.


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wait for each other however long it takes: the machine may be busy."""
    monkeypatch.setattr(lock, "LOCK_WAIT", HANG)


@pytest.mark.usefixtures("patient")
def test_threads_that_save_under_one_name_lose_nothing(file: Path) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                assert save(file, made(samples=1), add=True).path == file
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (read(file).samples, read(file).runs) == (12, 12)
    assert names(file.parent) == ["mine.json"]


WORK = """
import importlib, importlib.util, sys
from pathlib import Path

root, seed, target, patience = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "pack", root + "/__init__.py", submodule_search_locations=[root]
)
module = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
file = importlib.import_module("pack.cache_core.calibration.file")
lock = importlib.import_module("pack.cache_core.calibration.lock")
lock.LOCK_WAIT = float(patience)
for _ in range(4):
    file.save(Path(target), file.read(Path(seed)), add=True)
"""


def test_processes_that_save_under_one_name_lose_nothing(file: Path, tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    write(seed, made(samples=1))
    given = [str(ROOT), str(seed), str(file), str(HANG)]
    running = [subprocess.Popen([sys.executable, "-I", "-c", WORK, *given]) for _ in range(3)]
    assert [process.wait(HANG) for process in running] == [0, 0, 0]
    assert read(file).samples == 12
    assert names(tmp_path) == ["mine.json", "seed.json"]


def test_a_run_that_fails_gives_its_lock_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError, match="No space left"):
        save(file, made(), add=True)
    assert names(file.parent) == []
