"""The strip knows the model by the file that the loader names, before anything has run."""

from __future__ import annotations

from frontend import FrontEnd

PAB, LOADER = "StepCacheApplyPAB", "UNETLoader"
KNOWN, UNKNOWN = "shapes_dit.safetensors", "shapes_unet.safetensors"

REROUTED = """() => {
    const { app, LiteGraph } = window;
    const find = (type) => app.graph._nodes.find((each) => each.type === type);
    const reroute = LiteGraph.createNode("Reroute");
    app.graph.add(reroute);
    find("UNETLoader").connect(0, reroute, 0);
    reroute.connect(0, find("ModelSamplingSD3"), 0);
    find("ModelSamplingSD3").mode = 4;
}"""
INTO_SUBGRAPH = """(type) => {
    const { graph } = window.app;
    graph.convertToSubgraph(new Set([graph._nodes.find((each) => each.type === type)]));
}"""
OPEN = """() => {
    const { rootGraph, canvas } = window.app;
    const isOurs = ({ type }) => type.startsWith("StepCache");
    const owner = rootGraph._nodes.find((each) => each.subgraph?._nodes.some(isOurs));
    canvas.setGraph(owner.subgraph);
}"""
OUT_AGAIN = "() => window.app.canvas.setGraph(window.app.rootGraph)"
PROMOTED = """() => {
    const { subgraphs } = window.app.rootGraph;
    const isLoader = ({ type }) => type === "UNETLoader";
    const inside = [...subgraphs.values()].find((each) => each._nodes.some(isLoader));
    const loader = inside._nodes.find(isLoader);
    const socket = loader.inputs.find((each) => each.widget?.name === "unet_name");
    inside.addInput("file", "COMBO").connect(socket, loader);
}"""
CHOOSE = """(file) => {
    const graphs = [window.app.rootGraph, ...window.app.rootGraph.subgraphs.values()];
    const widgets = graphs.flatMap((graph) => graph._nodes).flatMap((node) => node.widgets ?? []);
    const find = (name) => widgets.find((each) => each.name === name);
    (find("file") ?? find("unet_name")).value = file;
}"""


def test_another_file_on_the_loader_changes_the_strip_before_any_run(ui: FrontEnd) -> None:
    """However the model gets from the loader to the node."""
    ui.show("dit_pab")
    steps = ("() => {}",), (REROUTED,), (INTO_SUBGRAPH, LOADER), (PROMOTED,), (INTO_SUBGRAPH, PAB)
    try:
        for step in steps:
            ui.page.evaluate(*step)
            if PAB in step:
                ui.page.evaluate(OPEN)
            for file in (UNKNOWN, KNOWN):
                ui.page.evaluate(CHOOSE, file)
                ui.wait_for(lambda file=file: _shows_every_kind(ui) is (file == UNKNOWN))
        assert "cross-attention" in ui.strip()["words"]
    finally:
        ui.page.evaluate(OUT_AGAIN)


def _shows_every_kind(ui: FrontEnd) -> bool | None:
    """As where nothing is known: the demo's models have no temporal attention."""
    strips = ui.strips()
    return "temporal" in (strips[0]["words"] or "") if strips else None
