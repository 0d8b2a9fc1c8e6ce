"""The strip for people who see little, no colours, or nothing: contrast, zoom, words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from frontend import STRIP, FrontEnd

PAB = "StepCacheApplyPAB"
PALETTES = ("dark", "light", "solarized", "arc", "nord", "github")
"""All that the front end brings along."""
TEXT_CONTRAST, GRAPHIC_CONTRAST = 4.5, 3.0
"""WCAG 2.1, 1.4.3 and 1.4.11, level AA."""
ROUNDING = 2.0
"""Pixels by which scaled boxes may miss each other."""


@pytest.fixture
def themed(ui: FrontEnd) -> Iterator[FrontEnd]:
    """A strip on which everything can be seen; afterwards the colours are dark again."""
    ui.show("dit_pab", PAB)
    ui.page.evaluate(
        """(detail) => window.app.api.dispatchEvent(
            new CustomEvent("stepcache.run", { detail }))""",
        {
            "node": ui.number_of(PAB), "type": PAB, "outcome": "running", "evaluations": 4,
            "plans": {"self_attention": "CRCRP."}, "strips": {"self_attention": "CCCRP."},
        },
    )  # fmt: skip
    yield ui
    ui.change_setting("Comfy.ColorPalette", "dark")


@pytest.mark.parametrize("palette", PALETTES)
def test_text_and_bars_stand_out_in_every_theme(themed: FrontEnd, palette: str) -> None:
    themed.change_setting("Comfy.ColorPalette", palette)
    themed.wait_for(lambda: _palette(themed) == palette)
    colours = _colours(themed)
    assert len(colours["texts"]) == 3, "above, below, and the label of the row"
    assert {bar["what"] for bar in colours["bars"]} == {"C", "P", "R", ".", "changed"}
    for text in colours["texts"]:
        assert contrast(text["colour"], text["behind"]) >= TEXT_CONTRAST, text
    for bar in colours["bars"]:
        assert contrast(bar["colour"], bar["behind"]) >= GRAPHIC_CONTRAST, bar


def contrast(one: list[int], other: list[int]) -> float:
    """WCAG's contrast ratio of two colours (red, green, blue; 0 … 255)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_estimated_as_defined() -> None:
    assert contrast([255, 255, 255], [0, 0, 0]) == pytest.approx(21.0)
    assert contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.005)


def _luminance(colour: list[int]) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _palette(ui: FrontEnd) -> str:
    return ui.page.evaluate(
        """() => window.app.extensionManager.setting.get("Comfy.ColorPalette")"""
    )


def _colours(ui: FrontEnd) -> dict[str, list[dict[str, Any]]]:
    """Computed colours of the strip's texts and bars, each with what is painted behind it."""
    return ui.page.evaluate(
        """(strip) => {
            const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
                .getContext("2d", { willReadFrequently: true });
            const pixel = (layers) => {
                pen.clearRect(0, 0, 1, 1);
                for (const layer of layers) {
                    pen.fillStyle = layer;
                    pen.fillRect(0, 0, 1, 1);
                }
                return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
            };
            const behind = (element) => {
                const layers = [];
                for (let at = element; at; at = at.parentElement) {
                    layers.unshift(getComputedStyle(at).backgroundColor);
                }
                return layers;
            };
            const found = { texts: [], bars: [] };
            const add = (list, element, what, colour) => {
                const layers = behind(element);
                found[list].push({
                    what, colour: pixel([...layers, colour]), behind: pixel(layers),
                });
            };
            for (const element of document.querySelectorAll(`${strip} *`)) {
                const style = getComputedStyle(element);
                if (["path", "rect"].includes(element.tagName)) {
                    add("bars", element, element.dataset.look ?? "changed", style.fill);
                } else if ([...element.childNodes].some((each) => each.nodeType === 3)) {
                    add("texts", element, element.textContent, style.color);
                }
            }
            return found;
        }""",
        STRIP,
    )


def test_looks_differ_in_height_not_only_in_colour(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    heights: dict[str, set[str]] = {}
    for path in ui.page.locator(f"{STRIP} path").all():
        found = set(re.findall(r"v([\d.]+)", path.get_attribute("d")))
        heights.setdefault(path.get_attribute("data-look"), set()).update(found)
    assert set(heights) >= {"C", "R"}
    assert all(len(each) == 1 for each in heights.values())
    assert len(set.union(*heights.values())) == len(heights)


def test_a_screen_reader_is_told_the_plan_and_what_changes(ui: FrontEnd) -> None:
    ui.show("dit_pab", PAB)
    pictures = ui.page.get_by_role("img", name=re.compile("^self-attention: "))
    assert pictures.count() == 1
    spoken = pictures.get_attribute("aria-label")
    assert re.match(r"self-attention: \d+ computed, \d+ reused; ", spoken)
    live = ui.page.locator(f"{STRIP} [aria-live=polite]")
    before = live.text_content()
    ui.set(PAB, "self_attention", 5)
    ui.wait_for(lambda: live.text_content() != before)
    assert pictures.get_attribute("aria-label") != spoken


@pytest.mark.parametrize("scale", [2.0, 1.0, 0.3])
def test_it_is_whole_at_every_zoom_of_the_canvas(ui: FrontEnd, scale: float) -> None:
    ui.show("dit_pab")
    ui.look_at(PAB, scale)
    _assert_whole(ui, scale)


def test_it_is_whole_at_200_percent_of_the_browser(ui: FrontEnd) -> None:
    """As Ctrl and + do it: half as many pixels of the page, each twice as large."""
    devtools = ui.page.context.new_cdp_session(ui.page)
    try:
        devtools.send(
            "Emulation.setDeviceMetricsOverride",
            {"width": 800, "height": 500, "deviceScaleFactor": 2, "mobile": False},
        )
        assert ui.page.evaluate("() => [innerWidth, devicePixelRatio]") == [800, 2]
        ui.show("dit_pab", PAB)
        _assert_whole(ui, 1.0)
    finally:
        ui.page.set_viewport_size({"width": 1600, "height": 1000})
        devtools.detach()


def _assert_whole(ui: FrontEnd, scale: float) -> None:
    """Nothing is cut off, and the strip is as large as the canvas shows its node."""
    ui.wait_for(lambda: _seen(ui)["cut"] <= 0)
    seen = _seen(ui)
    assert seen["labels"] == [], "labels that are wider than their place"
    assert seen["height"] == pytest.approx(seen["own"] * scale, abs=ROUNDING)
    for side, inside in seen["beyond"].items():
        assert inside <= ROUNDING, f"the strip leaves its node at the {side}"


def _seen(ui: FrontEnd) -> dict[str, Any]:
    """Where the strip is on the screen, and in its node, in pixels."""
    return ui.page.evaluate(
        """([strip, type, isVue]) => {
            const element = document.querySelector(strip);
            const content = element.firstChild;
            const box = element.getBoundingClientRect();
            const { canvas, graph } = window.app;
            const node = graph._nodes.find((each) => each.type === type);
            const { scale, offset } = canvas.ds;
            const page = canvas.canvas.getBoundingClientRect();
            const left = page.left + (node.pos[0] + offset[0]) * scale;
            const top = page.top + (node.pos[1] + offset[1]) * scale;
            const around = isVue
                ? document.querySelector(`[data-node-id="${node.id}"]`).getBoundingClientRect()
                : new DOMRect(left, top, node.size[0] * scale, node.size[1] * scale);
            return {
                cut: content.offsetHeight - element.clientHeight,
                own: element.offsetHeight,
                height: box.height,
                labels: [...element.querySelectorAll("span")]
                    .filter((each) => each.scrollWidth > each.clientWidth)
                    .map((each) => each.textContent),
                beyond: {
                    left: around.left - box.left, right: box.right - around.right,
                    top: around.top - box.top, bottom: box.bottom - around.bottom,
                },
            };
        }""",
        [STRIP, PAB, ui.is_vue],
    )
