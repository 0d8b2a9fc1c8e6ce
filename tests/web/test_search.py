"""What people type into the search of the front end, and the node that they want."""

from __future__ import annotations

import re

import pytest
from frontend import FrontEnd
from rest import frames

PLACE = (900, 700)
"""An empty place of the canvas."""


@pytest.mark.parametrize("wanted", ["teacache", "easycache", "speed", "faster", "accelerate"])
def test_step_cache_is_found(ui: FrontEnd, wanted: str) -> None:
    field = ui.page.locator("input:focus")
    ui.wait_for(lambda: field.count() or _double_click(ui))
    field.fill(wanted)
    # Its name, and the category; others of the pack have longer names.
    found = ui.page.get_by_role("option").filter(has_text=re.compile("^Step Cache\\s*StepCache"))
    found.wait_for()
    what = "window.LiteGraph.registered_node_types.StepCacheForecast.nodeData.description"
    assert ui.page.evaluate(what) in found.inner_text(), "it says what it does"
    field.press("Escape")
    field.wait_for(state="detached")


def _double_click(ui: FrontEnd) -> None:
    """Where the machine is busy, the page may hear two clicks instead, and nothing opens."""
    ui.page.mouse.dblclick(*PLACE)
    frames(ui, 30)
