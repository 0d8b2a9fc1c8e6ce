"""Which settings of which method are scored on which reference model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.methods import Method, SmoothCache
from stepcache.cache_core.methods.presets import fora
from stepcache.cache_core.sites import SiteKind
from stepcache.nodes.method_node import MethodNode
from stepcache.nodes.method_nodes import METHOD_NODES

from .quality_runs import STEPS

LACKS = {"dit": frozenset({SiteKind.DEEP_BRANCH}), "unet": frozenset[SiteKind]()}
"""The reference models, and the kinds of sites that they lack."""


@dataclass(frozen=True)
class Setting:
    """One line of the result.

    Args:
        model: "dit" or "unet".
        name: the method's.
        label: "mild", "default" (the node's defaults) or "bold".
        make: builds the method.
    """

    model: str
    name: str
    label: str
    make: Callable[[], Method]


def _made(node: type[MethodNode], inputs: dict[str, Any]) -> Method:
    return node.as_it_comes(**inputs).fitted(Timeline.even(STEPS))


def _attention_alone() -> Method:
    """The schedule that SmoothCache's node comes with, for attention alone, which the node does
    not offer."""
    schedule = fora("FORA: every 2nd step", STEPS)
    rows = tuple(row for row in schedule.rows if row[0] is SiteKind.SELF_ATTENTION)
    return replace(schedule, rows=rows)


BESIDE_NODES: dict[tuple[type[Method], str], Callable[[], Method]] = {
    (SmoothCache, "mild"): _attention_alone,
}
"""Settings that no inputs of a node mean."""


def _settings() -> Iterator[Setting]:
    """The mild, default and bold settings of every method that names some."""
    for method, node in METHOD_NODES.items():
        graded = {"mild": node.mild, "default": {}, "bold": node.bold}
        if not node.bold:
            continue
        required = {rule.where.kind for rule in node.as_it_comes().rules() if rule.is_required}
        for model in (model for model, lacks in LACKS.items() if not required & lacks):
            for label, inputs in graded.items():
                make = BESIDE_NODES.get((method, label)) or partial(_made, node, dict(inputs))
                yield Setting(model, method.__name__, label, make)


SETTINGS = tuple(_settings())
