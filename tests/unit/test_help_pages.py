"""Help pages: one for every node, with every input, tables as measured, and pictures that exist."""

from __future__ import annotations

import json
import re

import help_tables
import pack
import pytest

DOCS = pack.ROOT / "web" / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
# test_locales.py compares these names with the nodes themselves, which need ComfyUI.
NODES = json.loads((pack.ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
PARTS = ("**When to use it:**", "**Limits:**", "| input |")
PUBLISHED = ("DeepCache", "PAB", "FasterCache", "TGate", "SmoothCache", "Calibrate", "Advisor")
MAX_WORDS = 600
"""Read in two minutes; tables are looked up, not read."""
MAX_BYTES = 60 * 1024


def test_every_node_has_a_page() -> None:
    assert PAGES.keys() == NODES.keys()


@pytest.mark.parametrize("node", PAGES)
def test_a_page_has_all_parts_and_is_short(node: str) -> None:
    page = PAGES[node]
    assert page.startswith("# ")
    assert [part for part in PARTS if part not in page] == []
    words = [line for line in page.splitlines() if not line.startswith("|")]
    assert len(" ".join(words).split()) <= MAX_WORDS


@pytest.mark.parametrize("node", PAGES)
def test_a_page_tells_of_every_input(node: str) -> None:
    cells = re.findall(r"^\| ([\w, ]+?)(?: \([^)]*\))? \|", PAGES[node], re.MULTILINE)
    told = {name for cell in cells for name in cell.split(", ")}
    assert NODES[node]["inputs"].keys() - told == set()


@pytest.mark.parametrize("node", [node for node in PAGES if node.endswith(PUBLISHED)])
def test_pages_of_what_is_published_name_the_paper(node: str) -> None:
    assert re.search(r"arXiv \d{4}\.\d{5}", PAGES[node])


@pytest.mark.parametrize("node", help_tables.nodes())
def test_tables_are_what_was_measured(node: str) -> None:
    assert PAGES[node] == help_tables.page(node, PAGES[node]), "run python scripts/help_tables.py"


def test_a_page_without_a_place_for_its_table_is_refused() -> None:
    with pytest.raises(ValueError, match="StepCacheTGate"):
        help_tables.page("StepCacheTGate", "# TGATE Gate")


def test_a_setting_is_told_as_it_was_run() -> None:
    parameter = help_tables.results.parameter
    assert parameter("Apply PAB (self_attention 2, window 0.15-0.9)", "window") == "window 0.15-0.9"
    assert parameter("X (guidance_window 0.333333-1, b 2)", "guidance_window") == (
        "guidance_window 0.33-1"
    )
    with pytest.raises(LookupError, match="interval"):
        parameter("Apply PAB (self_attention 2)", "interval")


def test_pictures_are_small_and_every_one_is_shown() -> None:
    shown = {
        node: re.findall(r"!\[([^\]\"]+)\]\((pictures/[\w.]+)\)", page)
        for node, page in PAGES.items()
    }
    files = {path.relative_to(DOCS).as_posix(): path for path in DOCS.glob("pictures/*")}
    assert {file for found in shown.values() for _, file in found} == files.keys()
    assert all(shown[node] for node in help_tables.nodes())
    assert max(path.stat().st_size for path in files.values()) <= MAX_BYTES
