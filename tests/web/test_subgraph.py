"""A method's node inside of a subgraph: its plan, its live steps and what the run saved."""

from __future__ import annotations

from frontend import FrontEnd

INTO_SUBGRAPH = """() => {
    const { graph, canvas } = window.app;
    const node = graph._nodes.find((each) => each.type === "StepCacheApplyPAB");
    const { subgraph } = graph.convertToSubgraph(new Set([node]));
    canvas.setGraph(subgraph);
}"""
OUT_AGAIN = "() => window.app.canvas.setGraph(window.app.rootGraph)"


def test_a_node_in_an_open_subgraph_shows_plan_run_and_summary(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.set("KSampler", "steps", 14)
    # So that the server has already made a model by an equal node elsewhere.
    ui.queue()
    ui.wait_for(lambda: "MiB" in ui.strip()["below"])
    ui.page.evaluate(INTO_SUBGRAPH)
    try:
        ui.wait_for(lambda: [s["above"][:8] for s in ui.strips()] == ["14 steps"])
        assert ui.strip()["planned"] == 0, "nothing has run in here"
        before = len(ui.met())
        ui.queue()
        ui.wait_for(lambda: len(ui.met()) > before and "MiB" in ui.strip()["below"])
        assert "sampling" in ui.met()[before]["below"]
        assert ui.strip()["above"].startswith("14 steps")
    finally:
        ui.page.evaluate(OUT_AGAIN)


def test_a_run_is_shown_when_its_subgraph_is_opened_afterwards(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    ui.page.evaluate(INTO_SUBGRAPH)
    ui.page.evaluate(OUT_AGAIN)
    try:
        ui.queue()
        ui.wait_for(lambda: ui.shown_on("StepCacheReport"))
        ui.page.evaluate(
            """() => {
                const { rootGraph, canvas } = window.app;
                canvas.setGraph(rootGraph._nodes.find((each) => each.subgraph).subgraph);
            }"""
        )
        ui.wait_for(lambda: "MiB" in ui.strip()["below"] and ui.strip()["room"] >= 0)
        assert ui.strip()["above"].startswith("30 steps")
    finally:
        ui.page.evaluate(OUT_AGAIN)
