"""What people type into the search of the front end, and the node that they want."""

from __future__ import annotations

import re

import pytest
from frontend import FrontEnd

PLACE = (900, 700)
"""An empty place of the canvas."""


@pytest.mark.parametrize("wanted", ["teacache", "easycache", "speed", "faster", "accelerate"])
def test_step_cache_is_found(ui: FrontEnd, wanted: str) -> None:
    ui.page.mouse.dblclick(*PLACE)
    field = ui.page.locator("input:focus")
    field.fill(wanted)
    # Its name, and the category; others of the pack have longer names.
    found = ui.page.get_by_role("option").filter(has_text=re.compile("^Step Cache\\s*StepCache"))
    found.wait_for()
    what = "window.LiteGraph.registered_node_types.StepCacheForecast.nodeData.description"
    assert ui.page.evaluate(what) in found.inner_text(), "it says what it does"
    field.press("Escape")
    field.wait_for(state="detached")
