"""Nodes that show pictures, run in the front end on the demo's model."""

from __future__ import annotations

from frontend import FrontEnd


def test_two_pictures_are_compared_on_the_node(ui: FrontEnd) -> None:
    ui.load("compare_dit")
    ui.wait_for(lambda: ui.strips() and ui.strip()["rows"])
    assert "KSampler, cached" in ui.strip()["above"]
    ui.queue()
    ui.wait_for(lambda: ui.shown_on("StepCacheCompare"))
    (text,) = ui.shown_on("StepCacheCompare")["text"]
    assert "PSNR " in text and "the cached run took" in text
    assert len(ui.shown_on("StepCacheCompare")["images"]) == 1
