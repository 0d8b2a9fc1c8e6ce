"""Names: those that people type, and those of the reference's schedules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calibration_files import CROSS, FEED_FORWARD, SELF
from stepcache.cache_core.calibration.file import export_reference, safe_name
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.schedule_file import Rows, read_schedule
from stepcache.cache_core.sites import SiteKind


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.json"


# The reference's files.

FLAGS = (True, False, True, False)


def test_a_schedule_is_exported_and_imported(file: Path) -> None:
    rows: Rows = (
        (SELF, None, FLAGS),
        (CROSS, None, (True,) * 4),
        (FEED_FORWARD, None, FLAGS),
        (FEED_FORWARD, 11, (False,) * 4),
    )
    text = export_reference(rows)
    assert text == (
        '{\n"attn1": [1,0,1,0],\n"attn2": [1,1,1,1],\n"ff": [1,0,1,0],\n"ff-11": [0,0,0,0]\n}\n'
    )
    file.write_text(text)
    assert read_schedule(file).rows == rows


def test_the_names_of_other_models_can_be_chosen(file: Path) -> None:
    rows: Rows = ((SELF, None, FLAGS), (FEED_FORWARD, 2, FLAGS))
    text = export_reference(rows, {SELF: "attn", FEED_FORWARD: "mlp"})
    assert list(json.loads(text)) == ["attn", "mlp-2"]
    file.write_text(text)
    assert read_schedule(file).rows == rows


def test_joint_attention_is_the_references_attention(file: Path) -> None:
    file.write_text(export_reference(((SiteKind.JOINT_ATTENTION, None, FLAGS),)))
    assert json.loads(file.read_text()) == {"attn": [1, 0, 1, 0]}
    assert read_schedule(file).rows == ((SELF, None, FLAGS),)


JOINT = SiteKind.JOINT_ATTENTION


@pytest.mark.parametrize(
    ("rows", "chosen", "words"),
    [
        (((SiteKind.BLOCK, None, FLAGS),), None, "a row for block, which the reference package"),
        (((SiteKind.TEMPORAL_ATTENTION, 0, FLAGS),), None, "a row for temporal_attention, which"),
        (((SiteKind.DEEP_BRANCH, 3, FLAGS),), None, "a row for deep_branch, which the reference"),
        (((SiteKind.GUIDANCE, None, FLAGS),), None, "a row for guidance, which the reference"),
        ((), None, "has no rows; expected at least one"),
        (((SELF, None, FLAGS), (JOINT, None, FLAGS)), None, "which are the same layers; keep one"),
        (((SELF, None, FLAGS), (CROSS, None, FLAGS[1:])), None, "has 4 steps for"),
        (((SELF, None, FLAGS),), {SELF: "conv"}, 'names "conv"; known are attn'),
        (((SELF, None, FLAGS),), {SELF: "attn2"}, 'called "attn2", which means cross_attention'),
    ],
)
def test_what_the_reference_cannot_say_is_refused(
    rows: Rows, chosen: dict[SiteKind, str] | None, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        export_reference(rows, chosen)
    assert words in str(caught.value)


# Names.


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("flux-20", "flux-20"),
        ("  my flux.1 (dev) ", "my flux.1 (dev)"),
        ("flux.json", "flux"),
        ("flux.JSON ", "flux"),
        ("Lächeln 微笑", "Lächeln 微笑"),
        ("console", "console"),
        ("x" * 100 + ".json", "x" * 100),
    ],
)
def test_plain_names(typed: str, name: str) -> None:
    assert safe_name(typed) == name


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", '"" is empty'),
        (" .json", "is empty"),
        ("../flux", '"../flux" contains /'),
        ("/etc/passwd", "contains /"),
        ("a\\b", "contains \\"),
        ("C:flux", "contains :"),
        ("C:\\flux", "contains \\ :"),
        ("what?", "contains ?"),
        ("..", "begins with a dot"),
        (".hidden", "begins with a dot"),
        ("a.", "ends with a dot"),
        ("a\nb", "contains characters that cannot be seen"),
        ("a\0", "contains characters that cannot be seen"),
        ("a\u202eb", "contains characters that cannot be seen"),
        ("\ud800", "contains characters that cannot be seen"),
        ("x" * 101, "is too long (at most 100 characters and 200 bytes)"),
        ("微" * 70, "is too long (at most 100 characters and 200 bytes)"),
        ("CON", "is that of a device on Windows"),
        ("nul.json", "is that of a device on Windows"),
        ("Com1.flux", "is that of a device on Windows"),
        ("lpt¹", "is that of a device on Windows"),
    ],
)
def test_names_that_are_refused(typed: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        safe_name(typed)
    message = str(caught.value)
    assert words in message
    assert "a name cannot leave that folder" in message
    assert len(message) < 300
