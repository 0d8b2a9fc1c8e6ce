"""What a graph of fifty nodes costs, in counts; the benchmark `strip_cost` has the milliseconds."""

from __future__ import annotations

from frontend import STRIP, FrontEnd
from many_nodes import NODES, are_answered, graph_of
from rest import is_at_rest, looks, questions, settle

MAX_ELEMENTS = 40


def test_every_node_is_asked_about_once_when_a_graph_is_opened(ui: FrontEnd) -> None:
    with questions(ui) as asked:
        ui.load(graph_of(NODES))
        ui.wait_for(lambda: are_answered(ui, NODES))
        looks(ui)
    assert sum(len(each) for each in asked) == NODES
    assert len(asked) <= 2, "a graph may be seen half opened, no more"


def test_a_strip_has_as_many_elements_for_ten_steps_as_for_a_thousand(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    counts: list[int] = []
    for steps in (30, 1000):
        ui.set("KSampler", "steps", steps)
        ui.wait_for(lambda steps=steps: ui.strip()["above"].startswith(f"{steps} steps"))
        ui.wait_for(lambda steps=steps: f"{steps}" in _widths(ui))
        counts.append(ui.page.locator(f"{STRIP}, {STRIP} *").count())
    assert counts[0] == counts[1] <= MAX_ELEMENTS


def _widths(ui: FrontEnd) -> set[str]:
    """How many steps each row is drawn with."""
    boxes = ui.page.locator(f"{STRIP} svg").all()
    return {each.get_attribute("viewBox").split()[2] for each in boxes}


def test_nothing_is_asked_drawn_or_measured_while_nothing_changes(ui: FrontEnd) -> None:
    ui.show("dit_pab")
    settle(ui)
    assert is_at_rest(ui), "and it stays so"
