"""The strip finds the run's steps, sampler and guidance, however the graph is put together."""

from __future__ import annotations

import pytest
from frontend import FrontEnd

HEADLINES = {
    "sd15_deepcache": "50 steps: KSampler, euler, normal",
    "sdxl_tgate_deepcache": "25 steps: KSampler, dpmpp_2m, karras",
    "wan21_fastercache_pab": "30 steps: KSampler, uni_pc, simple",
    "compare_checkpoint": "30 steps: Step Cache Compare Runs, euler, normal",
    "ltxv_pab": "30 steps: SamplerCustom, euler",
    "cogvideox_fastercache": "50 steps: SamplerCustom, simple",
}
WITH_GUIDER = """(guider) => {
    const { LiteGraph, app } = window;
    const add = (type) => {
        const node = LiteGraph.createNode(type);
        app.graph.add(node);
        node.pos = [app.graph.nodes.length * 300, 100];
        return node;
    };
    const link = (from, to, name) => {
        from.connect(0, to, to.inputs.findIndex((each) => each.name === name));
    };
    const [loader, cache, chosen, schedule, select, sampler] = [
        "UNETLoader", "StepCacheApplyFasterCache", guider, "BasicScheduler", "KSamplerSelect",
        "SamplerCustomAdvanced",
    ].map(add);
    schedule.widgets.find((each) => each.name === "steps").value = 12;
    link(loader, cache, "model");
    link(cache, chosen, "model");
    link(cache, schedule, "model");
    link(chosen, sampler, "guider");
    link(select, sampler, "sampler");
    link(schedule, sampler, "sigmas");
    app.canvas.ds.offset = [0, 200];
    app.canvas.setDirty(true, true);
}"""


@pytest.mark.parametrize("workflow", HEADLINES)
def test_the_headline_names_the_run(ui: FrontEnd, workflow: str) -> None:
    ui.show(workflow)
    assert {strip["above"] for strip in ui.strips()} == {HEADLINES[workflow]}


@pytest.mark.parametrize(("guider", "has_guidance"), [("CFGGuider", True), ("BasicGuider", False)])
def test_a_guider_of_one_branch_has_no_guidance_to_reuse(
    ui: FrontEnd, guider: str, has_guidance: bool
) -> None:
    ui.page.evaluate(WITH_GUIDER, guider)
    ui.wait_for(ui.is_drawn)
    assert ui.strip()["above"].startswith("12 steps: SamplerCustomAdvanced, ")
    assert ("guidance" in ui.strip()["words"]) is has_guidance
