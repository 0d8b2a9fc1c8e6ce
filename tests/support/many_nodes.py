"""A graph with many nodes that draw a strip."""

from __future__ import annotations

import copy
from typing import Any

from frontend import METHODS, FrontEnd, read_workflow

NODES = 50
COLUMNS = 10
WIDTH, HEIGHT = 360, 620
"""Room of one node on the canvas, in pixels."""


def graph_of(count: int) -> dict[str, Any]:
    """A workflow of so many nodes, each kind with a strip in turn, with nothing else.

    Args:
        count: of nodes.

    Returns:
        It, in the form in which the front end saves it.
    """
    kinds = [_node_of(workflow, kind) for workflow, kind in METHODS.items()]
    nodes: list[dict[str, Any]] = []
    for number in range(count):
        node = copy.deepcopy(kinds[number % len(kinds)])
        row, column = divmod(number, COLUMNS)
        node |= {"id": number + 1, "order": number, "pos": [column * WIDTH, row * HEIGHT]}
        nodes.append(node)
    return {
        "last_node_id": count, "last_link_id": 0, "nodes": nodes, "links": [], "groups": [],
        "config": {}, "extra": {}, "version": 0.4,
    }  # fmt: skip


def are_answered(ui: FrontEnd, count: int) -> bool:
    """Whether so many strips are there, and each says something; without a sampler some refuse."""
    strips = ui.strips()
    return len(strips) == count and all(strip["below"] for strip in strips)


def _node_of(workflow: str, kind: str) -> dict[str, Any]:
    """The node of a kind as a workflow of ours has it, without its links."""
    node = next(node for node in read_workflow(workflow)["nodes"] if node["type"] == kind)
    inputs = [{**socket, "link": None} for socket in node["inputs"]]
    outputs = [{**socket, "links": []} for socket in node["outputs"]]
    return {**node, "inputs": inputs, "outputs": outputs}
