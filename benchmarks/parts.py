"""What is attached in a cell: methods at their nodes' defaults, and settings, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepcache import torch_settings
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, Method, TGate
from stepcache.cache_core.methods.presets import fora
from stepcache.cache_core.schedules import PercentRange

from .matrix import SETTINGS

NODE_WINDOW = PercentRange(0.15, 0.9)
GATED = 0.6
"""Where the gate's default lies in a run of 30 steps."""

METHODS: dict[str, Callable[[int], Method]] = {
    "DeepCache": lambda _: DeepCache(),
    "PAB": lambda _: PAB(2, 4, 6, NODE_WINDOW),
    "PAB, whole blocks": lambda _: PAB(window=NODE_WINDOW, block=2),
    "FasterCache": lambda _: FasterCache(),
    "FasterCache, guidance": lambda _: FasterCache(1, 1, 1),
    "T-GATE": lambda steps: TGate(round(GATED * steps)),
    "SmoothCache": lambda steps: fora("FORA: every 2nd step", steps),
}
"""By name: settings for a run of so many steps."""


def part(name: str, steps: int) -> Method | torch_settings.Setting:
    """A method or a setting.

    Args:
        name: of `METHODS` or `SETTINGS`.
        steps: of the run.
    """
    if name in METHODS:
        return METHODS[name](steps)
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
