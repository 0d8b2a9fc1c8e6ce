"""The strip on every method node: the plan while sliders move, and what a run really does."""

from __future__ import annotations

from typing import Any

import pytest
from frontend import METHODS, ROOT, STRIP, FrontEnd, read_workflow
from rest import frames, looks, questions, settle

WITHOUT_EFFECT_HERE = {
    "StepCacheForecast": {"carried"},
    # What it does needs another preset, schedule, range or model beside it.
    "StepCacheApplyPAB": {
        "feed_forward_start", "feed_forward_blocks", "preset", "temporal_attention",
    },
    "StepCacheApplyFasterCache": {
        "low_gain", "high_gain", "switch_percent", "preset", "temporal_attention",
    },
    "StepCacheDeepCacheUNet": {"center", "power", "preset", "branch"},
    "StepCacheTGate": {"preset", "after_gate", "gated_interval", "gate_share"},
    "StepCacheSmoothCache": {"threshold", "speedup", "quality", "lookahead", "parts"},
    "StepCacheAdvisor": {"calibration"},
}  # fmt: skip
"""Widgets that do not change which steps compute, with the workflow's other settings and model."""


def test_dropping_a_workflow_shows_its_plan(ui: FrontEnd) -> None:
    ui.drop(ROOT / "workflows" / "dit_pab.json")
    ui.wait_for(ui.is_drawn)
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
    ui.show(workflow)
    for name, other in _other_values(ui, node).items():
        before, old = ui.strip()["cells"], ui.value(node, name)
        with questions(ui) as asked:
            ui.set(node, name, other)
            if name in WITHOUT_EFFECT_HERE[node]:
                ui.wait_for(lambda asked=asked: asked)
                looks(ui, 1)
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


def test_the_sampler_is_followed(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.set("KSampler", "steps", 12)
    ui.wait_for(lambda: ui.strip()["above"].startswith("12 steps"))
    ui.wait_for(lambda: _count(ui.strip()["words"]) == 12)


def _count(words: str) -> int:
    """Steps of the first row."""
    first = words.split(";")[0].split(":")[1]
    return sum(int(part.split()[0]) for part in first.split(","))


def test_without_a_sampler_it_says_what_it_assumed(ui: FrontEnd) -> None:
    _add(ui, "StepCacheApplyPAB")
    ui.wait_for(ui.is_drawn)
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
    ui.show("dit_pab")
    ui.set("StepCacheApplyPAB", "start_percent", 0.95)
    ui.wait_for(lambda: "start_percent 0.95 is not before" in ui.strip()["below"])


def test_a_run_fills_the_strip_live_and_leaves_what_it_saved(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    planned = [met["planned"] for met in ui.met()]
    assert max(planned) > planned[-1] == 0, "under way some steps were still a plan"
    strip = ui.strip()
    assert strip["planned"] == 0, "every step has happened"
    assert strip["words"].startswith("self-attention: ")
    assert "temporal" not in strip["words"], "the run has shown that this model has none"
    ui.set("StepCacheApplyPAB", "self_attention", 5)
    ui.wait_for(lambda: "% of these layers" in ui.strip()["below"])
    assert "assumed" not in ui.strip()["below"], "the run has shown the noise schedule"


def test_step_cache_shows_which_steps_run_the_model(ui: FrontEnd) -> None:
    ui.show("dit_stepcache")
    strip = ui.strip()
    assert strip["words"] == "whole steps: 15 computed, 15 reused"
    assert "15 of 30 steps run the model" in strip["below"]
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    done = ui.strip()
    assert (done["words"], done["planned"]) == (strip["words"], 0), "it did what it said"
    ui.set("StepCacheForecast", "speed", 1.0)
    ui.wait_for(lambda: "30 of 30 steps run the model" in ui.strip()["below"])


def test_steps_in_which_nothing_is_asked_are_neither_reused_nor_to_come(ui: FrontEnd) -> None:
    """Of a method beside Step Cache, half way and after the run."""
    ui.show("dit_pab")
    plans = {"evaluation": "CCRCRC", "self_attention": "CC.R.C"}
    met = []
    for evaluation, attention in (("CCRC..", "CC.R.."), ("CCRCRC", "CC.R.C")):
        strips = {"evaluation": evaluation, "self_attention": attention}
        ui.page.evaluate(
            """(detail) => window.app.api.dispatchEvent(
                new CustomEvent("stepcache.run", { detail }))""",
            {
                "node": ui.number_of("StepCacheApplyPAB"), "type": "StepCacheApplyPAB",
                "outcome": "running", "evaluations": 4, "plans": plans, "strips": strips,
            },
        )  # fmt: skip
        met.append(ui.strip())
    half, whole = met
    words = "self-attention: 3 computed, 1 reused, 2 not asked"
    assert half["words"] == whole["words"] == words
    assert half["planned"] == 2, "the line and the bar that are to come"
    assert whole["planned"] == 0
    shown = ui.page.locator(f"{STRIP} [role=img]").get_attribute("title")
    assert shown == (
        "tall: computed; low: reused; line in the middle: not asked, the whole step is reused"
    )


def test_a_saved_workflow_carries_nothing_of_the_strip(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    saved = next(n for n in ui.saved()["nodes"] if n["type"] == "StepCacheApplyPAB")
    file = next(n for n in read_workflow("dit_pab")["nodes"] if n["type"] == "StepCacheApplyPAB")
    assert saved["widgets_values"] == file["widgets_values"]
    ui.clear()
    assert ui.strips() == []
    ui.show("dit_pab")


def test_it_is_there_again_when_the_page_is_loaded_anew(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    before = ui.strip()["cells"]
    ui.set("StepCacheApplyPAB", "self_attention", 6)
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    changed = ui.strip()["cells"]
    ui.keep_changes()
    ui.reload()
    ui.wait_for(lambda: ui.is_drawn() and ui.strip()["cells"] == changed)


def test_it_survives_copying_collapsing_and_zooming(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.page.evaluate(
        """() => {
            const { canvas, graph } = window.app;
            const node = graph._nodes.find((each) => each.type === "StepCacheApplyPAB");
            canvas.selectNode(node);
            canvas.copyToClipboard();
            canvas.pasteFromClipboard();
        }"""
    )
    ui.wait_for(lambda: len(ui.strips()) == 2 and ui.is_drawn())
    copied = next(s for s in ui.strips() if "no sampler found" in s["above"])
    assert copied["rows"]
    for scale in (0.3, 2.0, 1.0):
        ui.page.evaluate(
            "(s) => { window.app.canvas.ds.scale = s; window.app.canvas.setDirty(true, true); }",
            scale,
        )
        frames(ui)
    ui.page.evaluate(
        """() => { const node = window.app.graph._nodes.find((n) => n.type === "StepCacheApplyPAB");
            node.collapse(); node.collapse(); }"""
    )
    ui.wait_for(ui.is_drawn)


def test_undo_moves_the_strip_back(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    before = ui.strip()["cells"]
    ui.set("StepCacheApplyPAB", "self_attention", 6)
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    ui.undo()
    ui.wait_for(lambda: ui.is_drawn() and ui.strip()["cells"] == before)


def test_nodes_stay_as_high_as_they_need(ui: FrontEnd) -> None:
    """An element that is measured by the room that it was given grows and grows."""
    ui.show("dit_pab")
    settle(ui)
    height = _height(ui)
    looks(ui)
    frames(ui)
    assert _height(ui) == height < 900


def _height(ui: FrontEnd) -> float:
    return ui.page.evaluate(
        """() => window.app.graph._nodes.find((n) => n.type === "StepCacheApplyPAB").size[1]"""
    )
