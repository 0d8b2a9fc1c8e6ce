"""Schedule files: what is read, and what is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calibration_files import refusal_of
from stepcache.cache_core.methods import SmoothCache
from stepcache.cache_core.schedule_file import SIZE_LIMIT, read_schedule
from stepcache.cache_core.sites import SiteKind
from work import opened_files

SELF, FEED_FORWARD = SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD


def refusal(path: Path) -> str:
    return refusal_of(read_schedule, path, "schedule")


def test_a_file_of_the_reference_is_read(file: Path) -> None:
    file.write_text(json.dumps({"attn": [1, 0, 1], "mlp": [1, 1, 0]}))
    assert read_schedule(file).rows == (
        (SELF, None, (True, False, True)),
        (FEED_FORWARD, None, (True, True, False)),
    )


@pytest.mark.parametrize(
    ("name", "kind", "index"),
    [
        ("attn", SELF, None),
        ("attn1", SELF, None),
        ("self_attention", SELF, None),
        ("attn2", SiteKind.CROSS_ATTENTION, None),
        ("cross_attention", SiteKind.CROSS_ATTENTION, None),
        ("temporal_attention", SiteKind.TEMPORAL_ATTENTION, None),
        ("mlp", FEED_FORWARD, None),
        ("ff", FEED_FORWARD, None),
        ("feed_forward-12", FEED_FORWARD, 12),
        ("attn-0", SELF, 0),
    ],
)
def test_names_of_layers(file: Path, name: str, kind: SiteKind, index: int | None) -> None:
    file.write_text(json.dumps({name: [1, 0]}))
    assert read_schedule(file).rows == ((kind, index, (True, False)),)


def test_rows_make_a_method_in_which_a_row_for_one_layer_wins(file: Path) -> None:
    file.write_text(json.dumps({"attn": [1, 0], "attn-1": [1, 1]}))
    everywhere, one, *joint = SmoothCache(read_schedule(file).rows, file.name).rules()
    assert {rule.where.kind for rule in joint} == {SiteKind.JOINT_ATTENTION}
    assert everywhere.where.excluded == {1}
    assert one.where.indices == {1}
    assert one.when.never_reuses


def test_the_first_entry_may_be_0_and_a_byte_order_mark_does_no_harm(file: Path) -> None:
    file.write_text(json.dumps({"attn": [0, 1]}), encoding="utf-8-sig")
    assert read_schedule(file).rows == ((SELF, None, (False, True)),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON (Expecting value"),
        ("steps: 30", "is not JSON"),
        ('{"attn": [1, NaN]}', "is not JSON (NaN is no JSON value)"),
        ('{"attn": [1, -Infinity]}', "is not JSON (-Infinity is no JSON value)"),
        ("NaN", "is not JSON (NaN is no JSON value)"),
        ("[" * 100_000, "is not JSON (nested too deeply)"),
        ("[1, 0]", "holds a list instead of an object; expected names of layers"),
        ("30", "holds 30 instead of an object"),
        ("null", "holds null instead of an object"),
        ("{}", "has no rows; expected at least one"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_no_object_of_rows_is_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    assert words in refusal(file)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("[]", 'has an empty row "attn"; expected one entry per step'),
        ("1", 'has 1 as row "attn"; expected a list of 0 and 1'),
        ('{"0": 1}', 'has an object as row "attn"'),
        ("{}", 'has an object as row "attn"'),
        ("[1, 2]", 'has 2 at step 1 of row "attn"; expected 1 (compute) or 0 (reuse)'),
        ("[1, -1]", "has -1 at step 1"),
        ("[1, 0.5]", "has 0.5 at step 1"),
        ("[1.0, 0]", "has 1.0 at step 0"),
        ("[1, 1e999]", "has Infinity at step 1"),
        ("[true, 0]", "has true at step 0"),
        ("[1, false]", "has false at step 1"),
        ('[1, "0"]', 'has "0" at step 1'),
        ("[1, null]", "has null at step 1"),
        ("[1, [0]]", "has a list at step 1"),
        ("[1, {}]", "has an object at step 1"),
        ("[1, 99999999999999999999999999999999999999999999]", "… at step 1"),
    ],
)
def test_a_row_of_anything_but_0_and_1_is_refused(file: Path, row: str, words: str) -> None:
    file.write_text(f'{{"attn": {row}}}')
    assert words in refusal(file)


def test_a_number_of_more_digits_than_python_reads_is_refused(file: Path) -> None:
    file.write_text('{"attn": [1, ' + "9" * 5000 + "]}")
    refusal(file)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("conv", 'names "conv"; known are attn, mlp, attn1, attn2, ff, self_attention'),
        ("", 'names ""; known are'),
        ("guidance", 'names "guidance"; known are'),
        ("deep_branch", 'names "deep_branch"; known are'),
        ("x" * 1000, "…; known are"),
        ("attn-", 'names "attn-"; expected the number of a layer after the hyphen, as in attn-0'),
        ("mlp-x", 'names "mlp-x"; expected the number of a layer after the hyphen, as in mlp-0'),
        ("attn--1", 'names "attn--1"; expected the number'),
        ("attn-1-2", 'names "attn-1-2"; expected the number'),
        ("attn-²", "expected the number"),
        ("attn-" + "9" * 5000, "expected the number"),
    ],
    ids=lambda value: value[:24],
)
def test_names_that_mean_no_layers_are_refused(file: Path, name: str, words: str) -> None:
    file.write_text(json.dumps({name: [1, 0]}))
    assert words in refusal(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"attn": [1, 0], "attn": [1, 1]}', '"attn" and "attn"'),
        ('{"attn": [1, 0], "attn1": [1, 0]}', '"attn" and "attn1"'),
        ('{"ff-3": [1, 0], "mlp-03": [1, 0]}', '"ff-3" and "mlp-03"'),
    ],
)
def test_two_rows_for_the_same_layers_are_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    message = refusal(file)
    assert words in message
    assert "which are the same layers; keep one of the two" in message


def test_rows_of_different_lengths_are_refused(file: Path) -> None:
    file.write_text(json.dumps({"attn": [1, 0], "mlp": [1, 0], "ff-1": [1]}))
    assert 'has 2 steps for "attn" and 1 for "ff-1"; make all rows as long' in refusal(file)


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    assert "is not JSON" in refusal(file)


def test_a_huge_file_is_refused_without_reading_it(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(100_000_000)
    with opened_files() as opened:
        assert "has 95.4 MiB; schedules have less than 1 MiB" in refusal(file)
    assert str(file) not in opened
    file.write_text("{}")
    with opened_files() as opened:
        refusal(file)
    assert str(file) in opened, "or else it would not have been heard"


def test_the_largest_allowed_file_is_read(file: Path) -> None:
    text = json.dumps({"attn": [1, 0]})
    file.write_text(text + " " * (SIZE_LIMIT - len(text)))
    assert len(read_schedule(file).rows) == 1


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder.json"
    folder.mkdir()
    assert "is not a file; choose the .json file itself" in refusal(folder)
    assert "does not exist; choose another schedule" in refusal(tmp_path / "gone.json")


def test_a_file_that_may_not_be_read_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("{}")

    def deny(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert "cannot be read (Permission denied); check the file's rights" in refusal(file)
