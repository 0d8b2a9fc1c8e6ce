"""Nodes that show pictures, run in the front end on the demo's model."""

from __future__ import annotations

import re
from typing import Any

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
    ui.look_at("StepCacheCompare")
    view = ui.page.get_by_test_id("stepcache-compare")
    plain, cached = (view.get_by_alt_text(name, exact=True) for name in ("plain", "cached"))
    ui.wait_for(lambda: all(map(_is_loaded, (plain, cached))))
    assert plain.get_attribute("src") != cached.get_attribute("src")
    wipe = view.get_by_label("Where the plain picture ends")
    assert _shown_part(plain) == 50, "half of each"
    wipe.fill("20")
    assert _shown_part(plain) == 20
    wipe.press("ArrowRight")
    assert _shown_part(plain) == 21, "keys move it too"
    assert "pairs" not in str(ui.saved()), "nobody's last run is saved"


def _is_loaded(picture: Any) -> bool:
    return picture.evaluate("(image) => image.complete && image.naturalWidth > 0")


def _shown_part(picture: Any) -> float:
    """Percent of the width, from the left."""
    clip = picture.evaluate("(image) => image.style.clipPath")
    return 100 - float(re.fullmatch(r"inset\(0px (\d+)% 0px 0px\)", clip)[1])
