"""Names that were replaced by the field's own do not come back. ARCHITECTURE.md has a glossary."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pack

import pytest
from setup.layout import CODE

INSTEAD = {
    "Question": "SiteCall or PreviewRequest", "Desk": "PreviewCache", "desk": "cache",
    "Answering": "PreviewExecutor", "Anatomy": "ModelInfo",
    "anatomy": "model_info", "Neighbour": "Conflict",
    "Hearing": "RunProbe", "Listening": "OpTracer", "Heard": "OpTrace", "Seeing": "OpCounter",
    "Trying": "AbTest", "Tried": "AbResult", "Letters": "Fonts",
    "Wish": "Target", "wish": "target", "Chooser": "Selector", "chooser": "selector",
    "approximate": "predict", "remembers": "max_history", "rests_on": "requires",
    "OfRun": "NotPickled", "Turns": "SettingsLock", "TURNS": "SETTINGS_LOCK",
    "attempted": "guarded", "at_rest": "ejected", "with_room": "with_large_frame",
    "Studying": "CalibrationRun", "Influence": "Sensitivity", "sense": "probe", "sensed": "probed",
    "Woven": "InlinedLayer", "OwnForward": "ModuleForward", "AttentionCore": "SdpaOnly",
    "whole_steps": "full_steps", "reckon": "estimate", "reckoned": "estimated",
}  # fmt: skip
"""What was said once, and what to say."""
BOUNDS = re.compile(r"_?(MOST|LEAST)_")
"""Say MAX_ and MIN_."""


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Every name in a source, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def replaced(source: str) -> list[str]:
    """Names that are said otherwise today."""
    return [
        f"line {line}: {name}; say {INSTEAD.get(name, 'MAX_ or MIN_')}"
        for line, name in names_in(source)
        if name in INSTEAD or BOUNDS.match(name)
    ]


@pytest.mark.parametrize("room", CODE)
def test_replaced_names_do_not_come_back(room: str) -> None:
    found = {
        str(path.relative_to(pack.ROOT)): lines
        for path in sorted(Path(pack.ROOT, room).rglob("*.py"))
        if (lines := replaced(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_a_name_that_comes_back_is_found() -> None:
    assert replaced("class Desk:\n    MOST_OPEN = 4\n") == [
        "line 1: Desk; say PreviewCache", "line 2: MOST_OPEN; say MAX_ or MIN_",
    ]  # fmt: skip
    assert replaced("'Desk' # a desk") == []
