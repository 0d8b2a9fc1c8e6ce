"""Settings of PyTorch, put between loader and sampler as a person would, tell of their run."""

from __future__ import annotations

from frontend import FrontEnd

BETWEEN = """async (types) => {
    const { graph } = window.app;
    const sampler = graph._nodes.find((each) => each.type === "KSampler");
    for (const type of types) {
        const link = graph.links.get(sampler.inputs[0].link);
        const node = window.LiteGraph.createNode(type);
        graph.add(node);
        graph.getNodeById(link.origin_id).connect(link.origin_slot, node, 0);
        node.connect(0, sampler, 0);
    }
    const report = graph._nodes.find((each) => each.type === "StepCacheReport");
    const link = graph.links.get(sampler.inputs[0].link);
    graph.getNodeById(link.origin_id).connect(link.origin_slot, report, 0);
}"""


def test_they_are_put_in_and_the_report_tells_of_them(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.page.evaluate(BETWEEN, ["StepCacheAttentionBackend", "StepCachePrecision"])
    ui.set("StepCacheAttentionBackend", "backend", "flash")
    assert ui.value("StepCachePrecision", "products") == "TF32"
    ui.queue()
    ui.wait_for(lambda: ui.shown_on("StepCacheReport"))
    (text,) = ui.shown_on("StepCacheReport")["text"]
    told = [line for line in text.splitlines() if line.startswith("Attention Backend (flash): ")]
    assert told and all(": flash, " in line for line in told)
    assert "Precision (products TF32, sums as it is): of the first evaluation's products" in text
    assert "reused" in text, "the cache beside them"
    assert "MiB" in ui.strip()["below"]


def test_what_the_device_cannot_do_is_said_on_the_sampler(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.page.evaluate(BETWEEN, ["StepCacheAttentionBackend"])
    ui.set("StepCacheAttentionBackend", "backend", "cuDNN")
    ui.queue()
    ui.wait_for(lambda: _error(ui))
    assert _error(ui)["node_type"] == "KSampler"
    assert "Attention Backend: cuDNN attention does not work on cpu" in _error(ui)["message"]
    assert "what does is auto, flash, math" in _error(ui)["message"]


def _error(ui: FrontEnd) -> dict[str, str] | None:
    """What the server said to the node that stopped the run."""
    return ui.page.evaluate(
        """async () => {
            const history = Object.values(await (await window.app.api.fetchApi("/history")).json());
            const said = history.at(-1)?.status?.messages ?? [];
            const error = said.find(([kind]) => kind === "execution_error")?.[1];
            return error ? { node_type: error.node_type, message: error.exception_message } : null;
        }"""
    )
