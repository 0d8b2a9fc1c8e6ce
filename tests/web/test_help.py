"""The front end's help panel shows our pages with their tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from frontend import FrontEnd

PANEL = ".node-help-content"


@pytest.fixture
def page(ui: FrontEnd) -> Iterator[Any]:
    """A page whose panel nobody meets: beside it the front end draws no other graph (1.47.12)."""
    yield ui.page
    ui.reload()


@pytest.mark.parametrize("node", ["StepCacheApplyPAB", "StepCacheAdvisor"])
def test_help_shows_tables_and_pictures(page: Any, node: str) -> None:
    page.evaluate(
        """(type) => {
            const node = window.LiteGraph.createNode(type);
            node.pos = [300, 300];
            window.app.graph.add(node);
            Object.assign(window.app.canvas.ds, { offset: [100, 0], scale: 1 });
            window.app.canvas.selectNode(node);
            window.app.canvas.setDirty(true, true);
        }""",
        node,
    )
    if not page.locator(PANEL).count():
        page.get_by_test_id("info-button").click()
    page.wait_for_function(
        """([panel, node]) => {
            const image = document.querySelector(`${panel} img`);
            return image?.naturalWidth > 0 && image.src.endsWith(`/${node}.jpg`);
        }""",
        arg=[PANEL, node],
    )
    columns = page.eval_on_selector_all(
        f"{PANEL} table", "(all) => all.map((table) => table.rows[0].cells.length)"
    )
    assert len(columns) >= 3
    text = page.text_content(PANEL)
    assert "When to use it:" in text
    assert "<!--" not in text and "| --- |" not in text
