"""What is attached in a cell: methods at their nodes' defaults, and settings, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from stepcache import torch_settings
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import Method
from stepcache.nodes.fastercache import ApplyFasterCache
from stepcache.nodes.method_nodes import METHOD_NODES
from stepcache.nodes.pab import ApplyPAB

from .matrix import SETTINGS

METHODS: dict[str, Callable[[], Method]] = {
    **{method.title: node.as_it_comes for method, node in METHOD_NODES.items()},
    "PAB, whole blocks": partial(ApplyPAB.as_it_comes, block=2),
    "FasterCache, guidance": partial(
        ApplyFasterCache.as_it_comes, self_attention=1, temporal_attention=1, cross_attention=1
    ),
}
"""By name."""


def part(name: str, steps: int) -> Method | torch_settings.Setting:
    """A method or a setting.

    Args:
        name: of `METHODS` or `SETTINGS`.
        steps: of the run.
    """
    if name in METHODS:
        return METHODS[name]().fitted(Timeline.even(steps))
    setting = SETTINGS[name]
    return getattr(torch_settings, setting.kind)(**setting.arguments)


def with_parts(model: Any, names: tuple[str, ...], steps: int) -> Any:
    """A clone of the host's ``ModelPatcher`` with all of them, attached in this order.

    Raises:
        StepCacheError: the model refuses one of them.
    """
    for each in (part(name, steps) for name in names):
        is_setting = isinstance(each, torch_settings.Setting)
        model = torch_settings.apply(model, each) if is_setting else attach(model, each)
    return model
