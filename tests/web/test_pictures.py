"""Nodes that show pictures, run in the front end on the demo's model."""

from __future__ import annotations

from frontend import FrontEnd


def test_two_pictures_are_compared_on_the_node(ui: FrontEnd) -> None:
    ui.load("compare_dit")
    ui.wait_for(lambda: ui.strips() and ui.strip()["rows"])
    assert "KSampler, cached" in ui.strip()["above"]
    ui.queue()
    ui.wait_for(lambda: _shown(ui, "StepCacheCompare"), seconds=90)
    (text,) = _shown(ui, "StepCacheCompare")["text"]
    assert "PSNR " in text and "the cached run took" in text
    assert len(_shown(ui, "StepCacheCompare")["images"]) == 1


def _shown(ui: FrontEnd, node: str) -> dict:
    """What a node was given to show."""
    return ui.page.evaluate(
        """(type) => {
            const { graph, nodeOutputs } = window.app;
            const node = graph._nodes.find((each) => each.type === type);
            return nodeOutputs[String(node.id)] ?? null;
        }""",
        node,
    )
