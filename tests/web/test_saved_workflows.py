"""Workflows that were saved with earlier releases mean what they meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from frontend import FrontEnd

SAVED = sorted((Path(__file__).resolve().parents[1] / "saved").glob("*.json"))


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_saved_graph_makes_the_prompt_that_it_made(ui: FrontEnd, path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    ui.load(kept["graph"])
    made = ui.page.evaluate("async () => (await window.app.graphToPrompt()).output")
    assert set(made) == set(kept["prompt"])
    for number, node in kept["prompt"].items():
        assert made[number]["class_type"] == node["class_type"]
        # A later release may ask for more; what was set then keeps its name and value.
        inputs = made[number]["inputs"]
        assert {name: inputs.get(name) for name in node["inputs"]} == node["inputs"]


def test_every_release_has_kept_one() -> None:
    """The first is of the release to come, so that a change before it is seen as well."""
    assert [path.stem for path in SAVED][:1] == ["0.1.0"]
