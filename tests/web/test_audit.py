"""Speed Audit in place of KSampler, as a person would: swap, run, read, put KSampler back."""

from __future__ import annotations

import re

from frontend import FrontEnd

AUDIT = "StepCacheSpeedAudit"
SWAP = """([from, to]) => {
    const { graph } = window.app;
    const old = graph._nodes.find((each) => each.type === from);
    const node = window.LiteGraph.createNode(to);
    graph.add(node);
    for (const input of old.inputs) {
        const link = input.link == null ? null : graph.links.get(input.link);
        const slot = node.inputs.findIndex((each) => each.name === input.name);
        if (link) graph.getNodeById(link.origin_id).connect(link.origin_slot, node, slot);
    }
    const { target_id, target_slot } = graph.links.get(old.outputs[0].links[0]);
    node.connect(0, graph.getNodeById(target_id), target_slot);
    for (const widget of node.widgets) {
        const same = old.widgets.find((each) => each.name === widget.name);
        if (same) widget.value = same.value;
    }
    graph.remove(old);
}"""
RUN = "() => window.app.queuePrompt(0, 1)"


def test_it_takes_the_place_of_the_sampler_and_says_what_to_do(ui: FrontEnd) -> None:
    ui.load("dit_plain")
    ui.page.evaluate(SWAP, ["KSampler", AUDIT])
    ui.set(AUDIT, "steps", 6)
    ui.set(AUDIT, "measure_cache", False)
    ui.page.evaluate(RUN)
    shown = ui.wait_for(lambda: ui.shown_on(AUDIT))
    (text,) = shown["text"]
    first, _, *rest = text.splitlines()
    assert " on cpu: 6 steps in " in first
    assert rest[0] == "What to do"
    advice = rest[1 : rest.index("")]
    assert 1 <= len(advice) <= 5
    assert all(re.match(r"\d\. |Nothing to recommend", line) for line in advice)
    assert ui.wait_for(lambda: ui.shown_on("SaveImage"))["images"], "and draws"
    ui.page.evaluate(SWAP, [AUDIT, "KSampler"])
    assert ui.value("KSampler", "steps") == 6
    ui.queue()
    ui.wait_for(lambda: ui.shown_on("SaveImage"))
