"""Calibration files: what is written and read back, and how writing ends where it cannot."""

from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calibration_files import DEEP, FEED_FORWARD, SELF, made, noise, table
from stepcache.cache_core.calibration import Calibration, Costs, Place, RunFacts
from stepcache.cache_core.calibration.file import (
    SIZE_LIMIT,
    check_writable,
    is_calibration,
    lay_out,
    read,
    write,
)
from stepcache.cache_core.calibration.noise import MAX_LEVELS
from stepcache.cache_core.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.json"


# What is written.


@pytest.mark.parametrize(
    "calibration",
    [
        made(),
        made(steps=2, lookahead=20),
        made(steps=1000, lookahead=2, table=table(1000, 2, 0.1, (Place(SELF),)), schedule=()),
        made(schedule=(), costs=Costs(), influence={}, tool=""),
        made(run=RunFacts("", "", 1.0, (3_000_000,))),
        made(is_whole=False, average="as the reference"),
        made(table=table(4, 1, 0.0, (Place(SELF),)), schedule=()),
        made(noise=noise()),
        made(noise=noise(2)),
    ],
    ids=["toy", "short", "long", "bare", "packed", "part", "zero", "noise", "least noise"],
)
def test_what_is_written_is_read_back(file: Path, calibration: Calibration) -> None:
    laid = lay_out(calibration)
    write(file, calibration)
    assert read(file) == laid.calibration
    assert laid.remarks == ()
    assert lay_out(read(file)).text == file.read_text("utf-8") == laid.text


def test_errors_are_rounded_to_four_digits_and_nothing_else_is_lost() -> None:
    calibration = made()
    stored = lay_out(calibration).calibration
    for place, lags in calibration.table.rows.items():
        for row, short in zip(lags, stored.table.rows[place], strict=True):
            assert short == pytest.approx(row, rel=5e-4)
            assert all(value == float(f"{value:.4g}") for value in short)
    assert stored.table.sigmas == calibration.table.sigmas
    assert stored.run == calibration.run
    assert lay_out(stored).calibration == stored


def test_changes_of_noise_are_rounded_to_five_digits_and_take_little_room() -> None:
    whole = noise(MAX_LEVELS)
    laid = lay_out(made(noise=whole))
    stored = laid.calibration.noise
    assert stored is not None
    assert stored.matrix == pytest.approx(whole.matrix, rel=5e-5)
    assert stored.half_log_snrs == pytest.approx(whole.half_log_snrs, rel=5e-7)
    assert all(value == float(f"{value:.5g}") for row in stored.products for value in row)
    assert len(laid.text) - len(lay_out(made()).text) < 32 * 2**10
    rows = json.loads(lay_out(made(noise=noise(30))).text)["noise_changes"]["products"]
    assert sum(map(len, rows)) == 29 * 30 / 2


def test_the_layout_has_a_row_per_line() -> None:
    lines = lay_out(made()).text.splitlines()
    assert lines[:2] == ["{", '"stepcache_calibration": 1,']
    assert sum(line.startswith('{"kind":"self_attention"') for line in lines) == 5
    assert '"self_attention": [1,0,1,0,1,0],' in lines
    assert '"self_attention-1": [1,1,1,1,1,1]' in lines
    assert json.loads("\n".join(lines))["run"]["resolution_class"] == "32x32"
    assert "\n".join(lines).isascii()


@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "is nan: NaN activations"), (math.inf, "is inf: NaN activations")],
)
def test_numbers_that_are_not_finite_are_not_written(file: Path, value: float, words: str) -> None:
    rows = dict(made().table.rows)
    first, second, *more = rows[Place(SELF, 1)]
    rows[Place(SELF, 1)] = (first, (*second[:-1], value), *more)
    with pytest.raises(ConfigError) as caught:
        write(file, made(table=replace(made().table, rows=rows)))
    assert f"of self_attention-1 from step 3 to step 5 {words}" in str(caught.value)
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (made(run=RunFacts("a", "b", math.nan, (4, 8, 8))), "has NaN at run, cfg; expected a num"),
        (made(influence={"layers": math.inf}), 'has Infinity at influence "layers"; expected'),
        (made(costs=Costs({(SELF, None): 1.5})), 'has 1.5 at costs, flops "self_attention"'),
        (made(tool="x" * 201), "at tool; expected one line of at most 200 characters"),
        (made(samples=0), "has 0 at samples; expected a whole number from 1"),
        (
            replace(made(), lookahead=21),
            "has 21 at lookahead; expected a whole number from 1 to 20",
        ),
    ],
)
def test_what_could_not_be_read_again_is_not_written(calibration: Calibration, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lay_out(calibration)
    assert str(caught.value).startswith("the calibration has ")
    assert words in str(caught.value)


def test_single_layers_are_left_out_of_a_file_that_would_be_too_large(file: Path) -> None:
    kept = (Place(SELF), Place(SELF, None, "cond"), Place(FEED_FORWARD), Place(DEEP, 3))
    many = (*kept, *(Place(SELF, index) for index in range(60)))
    calibration = made(table=table(200, 4, 0.1, many), schedule=())
    laid = lay_out(calibration)
    stored, (remark,) = laid.calibration, laid.remarks
    assert tuple(stored.table.rows) == kept
    assert "60 single layers were left out" in remark
    write(file, calibration)
    assert read(file) == stored
    assert file.stat().st_size <= SIZE_LIMIT


@pytest.mark.parametrize("places", [(Place(SELF), Place(FEED_FORWARD)), (Place(SELF, 1),)])
def test_what_is_too_large_all_the_same_is_not_written(places: tuple[Place, ...]) -> None:
    calibration = made(table=table(1000, 20, 0.1, (*places, Place(SELF, 0))), schedule=())
    with pytest.raises(ConfigError, match="without its single layers; expected at most 200"):
        lay_out(calibration)


# Where nothing can be written.


def failing(error: BaseException) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


FAILURES = [
    (os, "fsync", OSError(errno.ENOSPC, "No space left"), "(No space left); free some space"),
    (Path, "replace", OSError(errno.EACCES, "Denied"), "(Denied); give yourself the right"),
    (Path, "open", OSError(errno.EROFS, "Read-only"), "(Read-only); make the folder writable"),
    (Path, "mkdir", OSError(errno.EIO, "Broken"), "(Broken); check the folder"),
]


@pytest.mark.parametrize(("where", "what", "error", "words"), FAILURES)
def test_a_failure_leaves_what_was_there(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    what: str,
    error: OSError,
    words: str,
) -> None:
    write(file, made())
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(where, what, failing(error))
        with pytest.raises(ConfigError) as caught:
            write(file, made(error=0.5))
        with pytest.raises(ConfigError) as tried:
            check_writable(file.parent)
    assert str(caught.value) == str(tried.value), "trying finds what writing would"
    assert str(caught.value).startswith(f"files cannot be saved in the folder {file.parent}")
    assert words in str(caught.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_an_interrupt_leaves_what_was_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, made())
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write(file, made(error=0.5))
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_is_made_and_tried_and_nothing_stays_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    check_writable(folder)
    assert list(folder.iterdir()) == []
    write(folder / "more" / "mine.json", made())
    assert read(folder / "more" / "mine.json").samples == 2


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot be saved in the folder .*; move the file"):
            check_writable(folder)
        with pytest.raises(ConfigError, match="cannot be saved in the folder"):
            write(folder / "mine.json", made())


def test_a_folder_in_the_place_of_the_file_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigError, match="cannot be saved in the folder"):
        write(file, made())
    assert list(file.parent.iterdir()) == [file]


# Which file is which.


@pytest.mark.parametrize(
    ("data", "is_ours"),
    [
        (lay_out(made()).text.encode(), True),
        (lay_out(made()).text.encode()[:200], True),
        (lay_out(made(is_whole=False)).text.encode("utf-8-sig"), True),
        (b'{"attn": [1, 0]}', False),
        (b"", False),
        (b"\xff\xfe\x00", False),
        (b"[" * 100_000, False),
        (b" " * SIZE_LIMIT + lay_out(made()).text.encode(), False),
    ],
    ids=["whole", "damaged", "part", "reference", "empty", "bytes", "deep", "late"],
)
def test_a_calibration_is_told_from_a_schedule(file: Path, data: bytes, is_ours: bool) -> None:
    file.write_bytes(data)
    assert is_calibration(file) is is_ours


def test_what_cannot_be_read_is_no_calibration(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_calibration(tmp_path)
    assert not is_calibration(tmp_path / "gone.json")
    file.write_text(lay_out(made()).text)

    def deny(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert not is_calibration(file)
    with pytest.raises(ConfigError, match=r"mine.json cannot be read \(Permission denied\); check"):
        read(file)
