"""A method in six places (CONTRIBUTING.md): everything else has it because it is registered."""

from __future__ import annotations

import pack

import cells
import pytest
import shipped
import support_table
from promises import PROMISES
from stepcache.cache_core.methods import METHODS, StepCache
from stepcache.nodes.extension import NODES, with_strips
from stepcache.nodes.method_nodes import METHOD_NODES
from stepcache.nodes.speed_audit import NOT_SUGGESTED, SUGGESTED

from benchmarks import matrix, parts

TITLES = {method.title for method in METHODS}
IDS = {node.define_schema().node_id for node in METHOD_NODES.values()}


def _in_workflows() -> set[str]:
    """Nodes in workflows for any checkpoint."""
    names = [name for name in shipped.NAMES if name.startswith("checkpoint_")]
    return {node["type"] for name in names for node in shipped.read(name)["nodes"]}


WRITTEN = {
    "node": (METHODS, METHOD_NODES),
    "help page": (IDS, {path.stem for path in (pack.ROOT / "web" / "docs").glob("*.md")}),
    "workflow": (IDS, _in_workflows()),
    "test case": (METHODS, PROMISES),
}
DERIVED = {
    "list of nodes": (METHOD_NODES.values(), NODES),
    "strips": (IDS, with_strips()),
    "support table": (TITLES, support_table.METHODS),
    "benchmarks": (TITLES, parts.METHODS),
    "matrix of benchmarks": (TITLES - {StepCache.title}, matrix.ON_UNETS),
    "audit": ({each.name for each in METHODS if each not in NOT_SUGGESTED}, SUGGESTED),
    "table of laws": ({method.__name__ for method in METHODS}, cells.COLUMNS),
}


@pytest.mark.parametrize("place", [*WRITTEN, *DERIVED])
def test_every_registered_method_is_there(place: str) -> None:
    registered, found = (WRITTEN | DERIVED)[place]
    assert set(registered) - set(found) == set(), f"missing in: {place}"


def test_methods_have_names_of_their_own() -> None:
    for names in (TITLES, IDS, {method.name for method in METHODS}):
        assert len(names) == len(METHODS)


def test_a_node_has_the_name_of_its_method() -> None:
    names = {method: node.define_schema().display_name for method, node in METHOD_NODES.items()}
    assert names == {method: method.name for method in METHODS}
