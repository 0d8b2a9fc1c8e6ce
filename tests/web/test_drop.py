"""Every workflow of ours, dragged from a folder onto the canvas."""

from __future__ import annotations

from typing import Any

import pytest
from frontend import METHODS, ROOT, FrontEnd, read_workflow

FILES = sorted((ROOT / "workflows").glob("*.json"))
WITH_STRIP = set(METHODS.values())


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_a_dropped_workflow_is_whole(ui: FrontEnd, name: str) -> None:
    file = read_workflow(name)
    ui.drop(ROOT / "workflows" / f"{name}.json")
    ui.wait_for(lambda: len(ui.saved()["nodes"]) == len(file["nodes"]))
    methods = [node["type"] for node in file["nodes"] if node["type"] in WITH_STRIP]
    ui.wait_for(lambda: len(ui.strips()) == len(methods) and ui.is_drawn() == bool(methods))
    saved = ui.saved()
    assert _types(saved) == _types(file)
    assert len(saved["links"]) == len(file["links"])
    assert _widgets(saved) == _widgets(file)
    assert _unknown(ui) == []
    assert _said(ui) == []


def _types(workflow: dict[str, Any]) -> dict[int, str]:
    return {node["id"]: node["type"] for node in workflow["nodes"]}


def _widgets(workflow: dict[str, Any]) -> dict[int, Any]:
    """What stands in the widgets of the nodes with a strip."""
    methods = [node for node in workflow["nodes"] if node["type"] in WITH_STRIP]
    return {node["id"]: node["widgets_values"] for node in methods}


def _unknown(ui: FrontEnd) -> list[str]:
    """Nodes that this server does not have."""
    return ui.page.evaluate(
        """() => window.app.graph._nodes.map((each) => each.type)
            .filter((type) => !(type in window.LiteGraph.registered_node_types))"""
    )


def _said(ui: FrontEnd) -> list[str]:
    """Words of dialogs and messages; that model files are missing is what one expects here."""
    found = ui.page.locator("[role=dialog]:visible, .p-toast-message:visible").all_inner_texts()
    return [words for words in found if "missing model" not in words.lower()]
