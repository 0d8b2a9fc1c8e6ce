"""Help pages of nodes, beside the nodes themselves: one for every node, with every input."""

from __future__ import annotations

import re
from typing import Any

import pack

import pytest
from stepcache.nodes.extension import NODES

DOCS = pack.ROOT / "web" / "docs"
SCHEMAS = [node.define_schema() for node in NODES]


def test_every_node_has_a_page_and_every_page_a_node() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == {schema.node_id for schema in SCHEMAS}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.node_id)
def test_a_page_has_the_name_of_its_node_and_tells_of_every_input(schema: Any) -> None:
    page = (DOCS / f"{schema.node_id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")
    cells = re.findall(r"^\| ([\w, ]+?)(?: \([^)]*\))? \|", page, re.MULTILINE)
    told = {name for cell in cells for name in cell.split(", ")}
    assert {each.id for each in schema.inputs} - told == set()
