"""The front end's help panel shows our pages with their tables and pictures."""

from __future__ import annotations

import pytest
from frontend import FrontEnd

PANEL = ".node-help-content"


@pytest.mark.parametrize("node", ["StepCacheApplyPAB", "StepCacheAdvisor"])
def test_help_shows_tables_and_pictures(ui: FrontEnd, node: str) -> None:
    ui.page.evaluate(
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
    if not ui.page.locator(PANEL).count():
        ui.page.get_by_test_id("info-button").click()
    ui.page.wait_for_function(
        """([panel, node]) => {
            const image = document.querySelector(`${panel} img`);
            return image?.naturalWidth > 0 && image.src.endsWith(`/${node}.jpg`);
        }""",
        arg=[PANEL, node],
    )
    columns = ui.page.eval_on_selector_all(
        f"{PANEL} table", "(all) => all.map((table) => table.rows[0].cells.length)"
    )
    assert len(columns) >= 3
    text = ui.page.text_content(PANEL)
    assert "When to use it:" in text
    assert "<!--" not in text and "| --- |" not in text
