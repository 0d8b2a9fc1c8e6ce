"""Help pages: their parts, tables as measured, and pictures that exist."""

from __future__ import annotations

import re

import pack

import help_tables
import pytest
from stepcache.cache_core.methods import METHODS, Calibrate, Method

DOCS = pack.ROOT / "web" / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
PARTS = ("**When to use it:**", "**Limits:**", "| input |")
PUBLISHED = [method for method in (*METHODS, Calibrate) if method.paper]
MAX_WORDS = 600
"""Read in two minutes; tables are looked up, not read."""
MAX_BYTES = 60 * 1024


@pytest.mark.parametrize("node", PAGES)
def test_a_page_has_all_parts_and_is_short(node: str) -> None:
    page = PAGES[node]
    assert page.startswith("# ")
    assert [part for part in PARTS if part not in page] == []
    words = [line for line in page.splitlines() if not line.startswith("|")]
    assert len(" ".join(words).split()) <= MAX_WORDS


@pytest.mark.parametrize("method", PUBLISHED, ids=lambda method: method.__name__)
def test_the_page_of_what_is_published_names_the_paper(method: type[Method]) -> None:
    assert method.paper in PAGES[help_tables.results.node_ids()[method.name]]


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
