"""The strip on every method node: the plan while sliders move, and what a run really does."""

from __future__ import annotations

from typing import Any

import pytest
from frontend import ROOT, FrontEnd, read_workflow

METHODS = {
    "dit_pab": "StepCacheApplyPAB",
    "dit_fastercache": "StepCacheApplyFasterCache",
    "unet_deepcache": "StepCacheDeepCacheUNet",
    "dit_tgate": "StepCacheTGate",
    "dit_smoothcache": "StepCacheSmoothCache",
    "dit_advisor": "StepCacheAdvisor",
}
WITHOUT_EFFECT_HERE = {
    # What it does needs another preset, schedule or range beside it.
    "StepCacheApplyPAB": {"feed_forward_start", "feed_forward_blocks", "preset"},
    "StepCacheApplyFasterCache": {"low_gain", "high_gain", "switch_percent", "preset"},
    "StepCacheDeepCacheUNet": {"center", "power", "preset", "branch"},
    "StepCacheTGate": {"preset", "after_gate", "gated_interval"},
    "StepCacheSmoothCache": {"threshold", "speedup", "quality", "lookahead", "parts"},
    "StepCacheAdvisor": {"calibration"},
}
"""Widgets that change the picture but not which steps compute, at the workflow's other settings."""


def is_drawn(ui: FrontEnd) -> bool:
    return bool(ui.strips()) and all(strip["rows"] and strip["words"] for strip in ui.strips())


def test_dropping_a_workflow_shows_its_plan(ui: FrontEnd) -> None:
    ui.drop(ROOT / "workflows" / "dit_pab.json")
    ui.wait_for(lambda: is_drawn(ui))
    strip = ui.strip()
    assert strip["above"].startswith("30 steps: ")
    assert "euler" in strip["above"]
    assert "assumed" not in strip["above"]
    assert "self-attention: " in strip["words"]
    assert " reused" in strip["words"]
    assert "% of these layers" in strip["below"]


@pytest.mark.parametrize("workflow", METHODS)
def test_every_widget_moves_the_strip(ui: FrontEnd, workflow: str) -> None:
    node = METHODS[workflow]
    ui.load(workflow)
    ui.wait_for(lambda: is_drawn(ui))
    for name, other in _other_values(ui, node).items():
        before, old = ui.strip()["cells"], _value(ui, node, name)
        ui.set(node, name, other)
        if name in WITHOUT_EFFECT_HERE[node]:
            ui.page.wait_for_timeout(50)
        else:
            ui.wait_for(lambda before=before: ui.strip()["cells"] != before)
        ui.set(node, name, old)
        ui.wait_for(lambda before=before: ui.strip()["cells"] == before)


def _other_values(ui: FrontEnd, node: str) -> dict[str, Any]:
    """For every widget a value that it does not have, far from its own."""
    return ui.page.evaluate(
        """(type) => {
            const node = window.app.graph._nodes.find((each) => each.type === type);
            const found = {};
            for (const widget of node.widgets) {
                const { value, options, name } = widget;
                if (widget.serialize === false) continue;
                if (typeof value === "number") {
                    const { min, max } = options;
                    const next = value + (max - value > 3 ? 3 : -1);
                    found[name] = max <= 1 ? (value > 0.5 ? 0.25 : 0.75) : next;
                    if (name === "speedup") found[name] = 2.5;
                } else if (Array.isArray(options.values)) {
                    found[name] = options.values.find((each) => each !== value) ?? value;
                }
            }
            return found;
        }""",
        node,
    )


def _value(ui: FrontEnd, node: str, name: str) -> Any:
    return ui.page.evaluate(
        """([type, name]) => window.app.graph._nodes.find((each) => each.type === type)
            .widgets.find((each) => each.name === name).value""",
        [node, name],
    )


def test_the_sampler_is_followed(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.set("KSampler", "steps", 12)
    ui.wait_for(lambda: ui.strip()["above"].startswith("12 steps"))
    ui.wait_for(lambda: _count(ui.strip()["words"]) == 12)


def _count(words: str) -> int:
    """Steps of the first row."""
    first = words.split(";")[0].split(":")[1]
    return sum(int(part.split()[0]) for part in first.split(","))


def test_without_a_sampler_it_says_what_it_assumed(ui: FrontEnd) -> None:
    _add(ui, "StepCacheApplyPAB")
    ui.wait_for(lambda: is_drawn(ui))
    assert ui.strip()["above"] == "20 steps: no sampler found (steps assumed)"


def _add(ui: FrontEnd, node: str, x: int = 0, y: int = 0) -> None:
    ui.page.evaluate(
        """([type, x, y]) => {
            const node = window.LiteGraph.createNode(type);
            node.pos = [x, y];
            window.app.graph.add(node);
        }""",
        [node, x, y],
    )


def test_a_setting_that_is_refused_is_explained(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.set("StepCacheApplyPAB", "start_percent", 0.95)
    ui.wait_for(lambda: "start_percent 0.95 is not before" in ui.strip()["below"])


def test_a_run_fills_the_strip_live_and_leaves_what_it_saved(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.queue()
    ui.wait_for(lambda: ui.strip()["planned"] > 0, seconds=60)
    ui.wait_for(lambda: "MiB" in ui.strip()["below"], seconds=60)
    strip = ui.strip()
    assert strip["planned"] == 0, "every step has happened"
    assert strip["words"].startswith("self-attention: ")
    assert "temporal" not in strip["words"], "the run has shown that this model has none"
    ui.set("StepCacheApplyPAB", "self_attention", 5)
    ui.wait_for(lambda: "% of these layers" in ui.strip()["below"])
    assert "assumed" not in ui.strip()["below"], "the run has shown the noise schedule"


def test_a_saved_workflow_carries_nothing_of_the_strip(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    saved = next(n for n in ui.saved()["nodes"] if n["type"] == "StepCacheApplyPAB")
    file = next(n for n in read_workflow("dit_pab")["nodes"] if n["type"] == "StepCacheApplyPAB")
    assert saved["widgets_values"] == file["widgets_values"]
    ui.clear()
    assert ui.strips() == []
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))


def test_it_survives_copying_collapsing_and_zooming(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.page.evaluate(
        """() => {
            const { canvas, graph } = window.app;
            const node = graph._nodes.find((each) => each.type === "StepCacheApplyPAB");
            canvas.selectNode(node);
            canvas.copyToClipboard();
            canvas.pasteFromClipboard();
        }"""
    )
    ui.wait_for(lambda: len(ui.strips()) == 2 and is_drawn(ui))
    copied = next(s for s in ui.strips() if "no sampler found" in s["above"])
    assert copied["rows"]
    for scale in (0.3, 2.0, 1.0):
        ui.page.evaluate(
            "(s) => { window.app.canvas.ds.scale = s; window.app.canvas.setDirty(true, true); }",
            scale,
        )
        ui.page.wait_for_timeout(100)
    ui.page.evaluate(
        """() => { const node = window.app.graph._nodes.find((n) => n.type === "StepCacheApplyPAB");
            node.collapse(); node.collapse(); }"""
    )
    ui.wait_for(lambda: is_drawn(ui))


def test_undo_moves_the_strip_back(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    before = ui.strip()["cells"]
    ui.set("StepCacheApplyPAB", "self_attention", 6)
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    ui.undo()
    ui.wait_for(lambda: is_drawn(ui) and ui.strip()["cells"] == before)


def test_fifty_nodes_are_answered_together(ui: FrontEnd) -> None:
    asked: list[Any] = []
    ui.page.on("request", lambda r: asked.append(r) if "stepcache/preview" in r.url else None)
    ui.page.evaluate(
        """() => {
            for (let number = 0; number < 50; number++) {
                const node = window.LiteGraph.createNode("StepCacheApplyPAB");
                node.pos = [260 * (number % 10), 500 * Math.floor(number / 10)];
                window.app.graph.add(node);
            }
        }"""
    )
    ui.wait_for(lambda: len(ui.strips()) == 50 and is_drawn(ui))
    assert 1 <= len(asked) <= 5, "not one question for each of them"


def test_nodes_stay_as_high_as_they_need(ui: FrontEnd) -> None:
    """An element that is measured by the room that it was given grows and grows."""
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    heights = [_height(ui) for _ in range(4) if ui.page.wait_for_timeout(400) is None]
    assert heights[1] == heights[-1] < 900


def _height(ui: FrontEnd) -> float:
    return ui.page.evaluate(
        """() => window.app.graph._nodes.find((n) => n.type === "StepCacheApplyPAB").size[1]"""
    )


HOSTILE = "<img src=x onerror=window.hacked=1>"


def test_titles_and_answers_are_text(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.page.evaluate(
        """(title) => {
            const node = window.app.graph._nodes.find((each) => each.type === "KSampler");
            node.title = title;
        }""",
        HOSTILE,
    )
    ui.wait_for(lambda: HOSTILE in ui.strip()["above"])
    assert ui.page.evaluate("() => window.hacked") is None


def test_a_server_without_our_route_is_named(ui: FrontEnd) -> None:
    ui.page.route("**/stepcache/preview", lambda route: route.fulfill(status=404, body="no"))
    try:
        ui.load("dit_pab")
        ui.wait_for(lambda: "this server has no Step Cache preview" in ui.strip()["below"])
    finally:
        ui.page.unroute("**/stepcache/preview")
    ui.wait_for(lambda: "% of these layers" in ui.strip()["below"])
    ui.forget()


def test_events_about_others_are_passed_by(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    before = ui.strip()
    for detail in (
        None, {}, {"node": "999", "type": "StepCacheApplyPAB", "plans": {}},
        {"node": "1:2:3", "plans": {}}, {"node": {"a": 1}, "type": 3, "plans": []},
        {"node": _number(ui), "type": "KSampler", "plans": {"self_attention": "CC"}},
    ):  # fmt: skip
        ui.page.evaluate(
            """(detail) => window.app.api.dispatchEvent(
                new CustomEvent("stepcache.run", { detail }))""",
            detail,
        )
    ui.page.wait_for_timeout(100)
    assert ui.strip() == before


def test_a_report_of_a_newer_version_is_not_guessed_at(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.page.evaluate(
        """(node) => window.app.api.dispatchEvent(new CustomEvent("stepcache.run", { detail: {
            node, type: "StepCacheApplyPAB", outcome: "finished", evaluations: 2,
            plans: { self_attention: "CR" }, strips: { self_attention: "CR" },
            report: { version: 999 },
        } }))""",
        _number(ui),
    )
    ui.wait_for(lambda: "made by a newer Step Cache" in ui.strip()["below"])


def _number(ui: FrontEnd) -> str:
    return ui.page.evaluate(
        """() => String(window.app.graph._nodes.find((n) => n.type === "StepCacheApplyPAB").id)"""
    )


def test_the_sampler_is_found_from_within_a_subgraph(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    ui.wait_for(lambda: is_drawn(ui))
    ui.set("KSampler", "steps", 14)
    ui.page.evaluate(
        """() => {
            const { graph, canvas } = window.app;
            const node = graph._nodes.find((each) => each.type === "StepCacheApplyPAB");
            const { subgraph } = graph.convertToSubgraph(new Set([node]));
            canvas.setGraph(subgraph);
        }"""
    )
    try:
        ui.wait_for(lambda: any(s["above"].startswith("14 steps") for s in ui.strips()))
    finally:
        ui.page.evaluate("() => window.app.canvas.setGraph(window.app.rootGraph)")
