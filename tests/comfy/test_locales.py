"""Names of nodes and inputs in other languages: all of them, and none that does not exist."""

from __future__ import annotations

import json
from typing import Any

import pack
import pytest
from stepcache.nodes.extension import NODES

LANGUAGES = ("zh", "ja", "ko")
SCRIPTS = {"zh": ("一", "鿿"), "ja": ("ぁ", "鿿"), "ko": ("가", "힣")}
"""First and last sign of what each language is written in."""
THE_SAME = {"DeepCache UNet", "JSON", "PSNR", "SSIM"}
"""Names that stay as they are."""


def names_of(language: str) -> dict[str, Any]:
    path = pack.ROOT / "locales" / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_input_and_output_has_a_name(language: str) -> None:
    names = names_of(language)
    schemas = {schema.node_id: schema for schema in (node.define_schema() for node in NODES)}
    assert names.keys() == schemas.keys()
    for node, schema in schemas.items():
        assert names[node].keys() == {"display_name", "description", "inputs", "outputs"}
        assert list(names[node]["inputs"]) == [each.id for each in schema.inputs]
        assert list(names[node]["outputs"]) == [str(n) for n in range(len(schema.outputs))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_in_that_language(language: str) -> None:
    first, last = SCRIPTS[language]
    for node in names_of(language).values():
        ports = (*node["inputs"].values(), *node["outputs"].values())
        words = [node["display_name"], node["description"], *(port["name"] for port in ports)]
        for word in words:
            assert word in THE_SAME or any(first <= sign <= last for sign in word), word


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_inputs_of_a_node_have_one_name(language: str) -> None:
    for node in names_of(language).values():
        names = [each["name"] for each in node["inputs"].values()]
        assert len(set(names)) == len(names)
