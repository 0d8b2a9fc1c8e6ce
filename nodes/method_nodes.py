"""The node of every method, by the name of its file."""

from __future__ import annotations

from importlib import import_module

from ..cache_core.methods import METHODS, Method
from .method_node import MethodNode


def _node_of(method: type[Method]) -> type[MethodNode]:
    """What the file of this folder that is named as the method's defines."""
    file = method.__module__.rpartition(".")[2]
    module = import_module(f".{file}", __package__)
    (node,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, MethodNode)
        and each.__module__ == module.__name__
    )
    return node


METHOD_NODES: dict[type[Method], type[MethodNode]] = {
    method: _node_of(method) for method in METHODS
}
"""In the order of the methods."""
