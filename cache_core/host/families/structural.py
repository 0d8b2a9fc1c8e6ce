"""A family for a network of unknown class, found by the shape of its module tree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from torch import nn

from ...sites import SiteKind
from .family import Family, Layer

_KINDS = (
    (re.compile(r"cross|attn2|encoder_attn"), SiteKind.CROSS_ATTENTION),
    (re.compile(r"temp"), SiteKind.TEMPORAL_ATTENTION),
    (re.compile(r"attn|attention"), SiteKind.SELF_ATTENTION),
    (re.compile(r"ff|mlp|feed_?forward"), SiteKind.FEED_FORWARD),
)
"""What names of modules mean, the first that is found."""

_BLOCKS = (
    "it is no known family, and how its blocks pass their hidden states on cannot be seen from "
    "outside. Reuse its attention, which Apply PAB does"
)


def family_by_structure(network: nn.Module) -> Family | None:
    """The layers of an unknown network, or None where it shows none.

    Looks for rows of two or more blocks of one class, and in them for modules that hold linear
    layers, have a forward of their own, and are called attention or feed-forward. The result is a
    guess, and marked as such: `self_check` has to confirm it on the first step.
    """
    layers = [
        Layer(re.escape(path), kind)
        for row in _rows(network)
        for block in row
        for path, kind in _layers(network.get_submodule(block), block)
    ]
    if not any(layer.kind is not SiteKind.FEED_FORWARD for layer in layers):
        return None
    return Family(
        name="an unknown family, taken apart by its structure",
        model_classes=(),
        layers=tuple(layers),
        needs_proof=True,
        lacks={SiteKind.BLOCK: _BLOCKS},
    )


def _rows(network: nn.Module) -> Iterator[list[str]]:
    """Paths of the outermost repeated blocks, row by row."""
    inside = "\0"
    for path, module in network.named_modules():
        if path.startswith(inside) or not isinstance(module, nn.ModuleList | nn.ModuleDict):
            continue
        blocks = dict(module.named_children())
        classes = Counter(type(block) for block in blocks.values())
        repeated = [name for name, block in blocks.items() if classes[type(block)] > 1]
        if repeated:
            inside = f"{path}."
            yield [f"{path}.{name}" for name in repeated]


def _layers(block: nn.Module, at: str) -> Iterator[tuple[str, SiteKind]]:
    """The outermost modules of a block that look like attention or feed-forward."""
    inside = "\0"
    for path, module in block.named_modules():
        kind = _kind_of(path.rpartition(".")[2], module) if path else None
        if kind is None or path.startswith(inside):
            continue
        inside = f"{path}."
        yield f"{at}.{path}", kind


def _kind_of(name: str, module: nn.Module) -> SiteKind | None:
    has_forward = "forward" in dir(module) and type(module).forward is not nn.Module.forward
    has_weights = any(isinstance(child, nn.Linear) for child in module.modules())
    if not has_forward or not has_weights or isinstance(module, nn.Linear | nn.ModuleList):
        return None
    words = f"{name} {type(module).__name__}".lower()
    return next((kind for pattern, kind in _KINDS if pattern.search(words)), None)
