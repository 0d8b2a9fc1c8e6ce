"""What to put in place of other packs' nodes: as the page says, and with inputs that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pack

import from_other_packs
import pytest

SOURCES = json.loads((pack.ROOT / "locales" / "zh" / "sources.json").read_text(encoding="utf-8"))
INPUTS = {node["display_name"]: set(node["inputs"]) for node in SOURCES.values()}


def node(kind: str, values: Any) -> dict[str, Any]:
    return {"id": 7, "type": kind, "widgets_values": values}


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("TeaCache", ["flux", 0.4, 0.1, 0.9, "cuda"],
         "Step Cache: start_percent 0.1, end_percent 0.9, start with speed 2"),
        # A version whose third value is a number of steps.
        ("TeaCache", ["flux", 0.4, 3], "Step Cache: start with speed 2"),
        ("MagCache", ["chroma", 0.1, 0.25, 2],
         "Step Cache: start_percent 0.25, start with speed 2"),
        ("ApplyFBCacheOnModel", ["diffusion_model", 0.07], "Step Cache: start with speed 2"),
        ("ApplyFBCacheOnModel", ["diffusion_model", 0.12, 0.0, 0.8, -1],
         "Step Cache: start_percent 0, end_percent 0.8, start with speed 2"),
        ("DeepCache", [3, 1, 0, 800],
         "DeepCache UNet: interval 3, branch 1, start_percent 0, end_percent 0.8"),
        ("DeepCache", {"cache_interval": 5, "cache_depth": 0},
         "DeepCache UNet: interval 5, branch 0"),
        ("TGateApplySimple", [0.5, False],
         "TGATE Gate: gate_share 0.5, gate_step 0, self_interval 1"),
        ("EasyCache", [0.2, 0.15, 0.95, False], "Step Cache: start with speed 2"),
        ("EasyCache", None, "Step Cache: start with speed 2"),
    ],
)  # fmt: skip
def test_a_saved_node_is_told(kind: str, values: Any, words: str) -> None:
    ((number, found, known),) = from_other_packs.found_in(
        {"nodes": [node(kind, values), node("VAE", [])]}
    )
    assert (number, found) == ("7", kind)
    assert from_other_packs.advice_on(found, known) == words


def test_subgraphs_and_prompts_are_read() -> None:
    within = {"nodes": [], "definitions": {"subgraphs": [{"nodes": [node("MagCache", [])]}]}}
    assert [kind for _, kind, _ in from_other_packs.found_in(within)] == ["MagCache"]
    prompt = {"3": {"class_type": "DeepCache", "inputs": {"model": ["1", 0], "cache_interval": 4}}}
    ((number, kind, known),) = from_other_packs.found_in(prompt)
    assert number == "3"
    assert from_other_packs.advice_on(kind, known) == "DeepCache UNet: interval 4"


@pytest.mark.parametrize("kind", from_other_packs.NODES)
def test_what_is_advised_exists_and_stands_on_the_page(kind: str) -> None:
    page = (pack.ROOT / "docs" / "from-other-packs.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    ((_, where, instead, *_),) = (row for row in rows if re.search(rf"\b{kind}\b", row[0]))
    told = from_other_packs.NODES[kind]
    assert instead == told.instead
    assert told.pack in where
    if told.instead == from_other_packs.NOTHING:
        return
    inputs = INPUTS[told.instead]
    assert {name for name, _ in told.carried.values()} <= inputs
    for words in (words for words in told.advice if re.fullmatch(r"\w+ \d+", words)):
        assert words.split()[0] in inputs


@pytest.mark.parametrize("text", ["", "[]", "{", '{"nodes": 3}', '"a"'])
def test_what_is_no_graph_is_said_to_be_none(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "graph.json"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["from_other_packs.py", str(path)])
    assert from_other_packs.main() == 1
    assert "no workflow or prompt of ComfyUI" in capsys.readouterr().err
