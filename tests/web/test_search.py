"""What people type into the search of the front end, and the node that they want."""

from __future__ import annotations

import pytest
from frontend import FrontEnd

PLACE = (900, 700)
"""An empty place of the canvas."""


@pytest.mark.parametrize("wanted", ["teacache", "easycache", "speed", "faster", "accelerate"])
def test_step_cache_is_found(ui: FrontEnd, wanted: str) -> None:
    ui.page.mouse.dblclick(*PLACE)
    field = ui.page.locator("input:focus")
    field.fill(wanted)
    found = ui.page.get_by_role("option").filter(has_text="Makes sampling up to five times faster")
    found.first.wait_for()
    assert "Step Cache" in found.first.inner_text()
    field.press("Escape")
    field.wait_for(state="detached")
