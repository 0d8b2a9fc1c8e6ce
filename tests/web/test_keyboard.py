"""Nodes 2.0 without a mouse: reach an input, change it, run, interrupt, undo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from frontend import FrontEnd

PAB = "StepCacheApplyPAB"
MAX_TABS = 200


@pytest.fixture
def keys(ui: FrontEnd) -> Iterator[Any]:
    """The keyboard, before the workflow of PAB; the older renderer paints what has no focus."""
    if not ui.is_vue:
        pytest.skip("widgets that are painted on the canvas cannot be reached with Tab")
    ui.show("dit_pab", PAB)
    yield ui.page.keyboard


def test_a_value_is_typed_and_the_workflow_run(ui: FrontEnd, keys: Any) -> None:
    ui.set("KSampler", "seed", 4242)
    before = ui.strip()["cells"]
    _tab_to(ui, keys, "self_attention")
    keys.press("Control+a")
    keys.type("5")
    keys.press("Enter")
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    assert ui.value(PAB, "self_attention") == 5
    keys.press("ArrowUp")
    ui.wait_for(lambda: ui.value(PAB, "self_attention") == 6)
    keys.press("Control+Enter")
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    assert any(met["planned"] for met in ui.met())


def test_a_change_is_undone_and_done_again(ui: FrontEnd, keys: Any) -> None:
    before, done = ui.strip()["cells"], _changes(ui)
    _tab_to(ui, keys, "self_attention")
    keys.press("ArrowUp")
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    changed = ui.strip()["cells"]
    ui.page.evaluate("() => document.activeElement.blur()")
    # The front end takes note of what was written in an input with the next key outside of it.
    keys.press("Escape")
    ui.wait_for(lambda: _changes(ui) > done)
    keys.press("Control+z")
    ui.wait_for(lambda: ui.is_drawn() and ui.strip()["cells"] == before)
    keys.press("Control+y")
    ui.wait_for(lambda: ui.is_drawn() and ui.strip()["cells"] == changed)


def test_the_strip_is_no_stop_and_no_trap(ui: FrontEnd, keys: Any) -> None:
    """Something to be read only: the focus passes by, and goes on to the node behind it."""
    _tab_to(ui, keys, "preset")
    visited = [_focus(ui) for _ in range(40) if keys.press("Tab") is None]
    assert not any(each["is_strip"] for each in visited)
    node = ui.number_of(PAB)
    assert any(each["node"] not in (None, node) for each in visited), "the focus leaves the node"


def _changes(ui: FrontEnd) -> int:
    """How many changes the front end could take back."""
    return ui.page.evaluate(
        """() => window.app.extensionManager.workflow.activeWorkflow
            .changeTracker.undoQueue.length"""
    )


def _tab_to(ui: FrontEnd, keys: Any, name: str) -> None:
    """Press Tab until the widget of that name on our node has the focus."""
    node = ui.number_of(PAB)
    for _ in range(MAX_TABS):
        keys.press("Tab")
        focus = _focus(ui)
        if focus["node"] == node and focus["name"] == name:
            return
    raise AssertionError(f"{name} was not reached in {MAX_TABS} tabs")


def _focus(ui: FrontEnd) -> dict[str, Any]:
    """Where the focus is: id of the node, name of the widget, and whether it is on the strip."""
    return ui.page.evaluate(
        """() => {
            const at = document.activeElement;
            return {
                node: at.closest("[data-node-id]")?.dataset.nodeId ?? null,
                name: at.closest("[aria-label]")?.getAttribute("aria-label") ?? null,
                is_strip: at.closest("[data-testid=stepcache-strip]") !== null,
            };
        }"""
    )
