"""Every network that the host can load belongs to a family."""

from __future__ import annotations

import ast
import inspect
from operator import attrgetter

import comfy.model_base
import pytest
from stepcache.cache_core.host.families import FAMILIES


def _networks() -> set[type]:
    """The classes that the host's models are made with, as its source names them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(comfy.model_base))):
        if isinstance(node, ast.Call):
            names |= {ast.unparse(k.value) for k in node.keywords if k.arg == "unet_model"}
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names |= {ast.unparse(value) for value in node.args.defaults}
    things = [
        attrgetter(name)(comfy.model_base)
        for name in names
        if name.replace(".", "").isidentifier() and hasattr(comfy.model_base, name.split(".")[0])
    ]
    return {thing for thing in things if isinstance(thing, type) and hasattr(thing, "forward")}


@pytest.mark.parametrize("network", sorted(_networks(), key=str), ids=lambda cls: cls.__name__)
def test_every_network_of_the_host_has_a_family(network: type) -> None:
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in network.__mro__}
    assert any(not names.isdisjoint(family.model_classes) for family in FAMILIES)
