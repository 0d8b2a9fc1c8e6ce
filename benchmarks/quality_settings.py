"""Which settings of which method are scored on which reference model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    FasterCache,
    Method,
    TGate,
)
from stepcache.cache_core.methods.presets import FORA_SCHEDULES, fora
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

LABELS = ("mild", "default", "bold")
NODE_WINDOW = PercentRange(0.15, 0.9)
"""The node's defaults; PAB's own window is the published one in timesteps."""
NEARLY_WHOLE_RUN = PercentRange(0.05, 0.98)
FROM_EARLY_ON = PercentRange(0.1, 1.0)


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


def _pab(
    self_attention: int, cross_attention: int, window: PercentRange = NODE_WINDOW
) -> Callable[[], Method]:
    return lambda: PAB(self_attention, 4, cross_attention, window)


def _fora(interval: int, *kinds: SiteKind) -> Callable[[], Method]:
    """The node's schedule for the 30 steps that all runs here have, for some kinds of layers."""
    schedule = fora(list(FORA_SCHEDULES)[interval - 2], 30)
    rows = tuple(row for row in schedule.rows if row[0] in kinds)
    return lambda: replace(schedule, rows=rows)


ATTENTION, FEED_FORWARD = SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD

Makers = tuple[Callable[[], Method], Callable[[], Method], Callable[[], Method]]

TABLE: tuple[tuple[str, tuple[str, ...], Makers], ...] = (
    ("PAB", ("dit", "unet"), (_pab(2, 2), _pab(2, 6), _pab(4, 12, NEARLY_WHOLE_RUN))),
    ("DeepCache", ("unet",), (lambda: DeepCache(2), DeepCache, lambda: DeepCache(5))),
    (
        "FasterCache",
        ("dit", "unet"),
        (
            lambda: FasterCache(guidance_interval=2),
            FasterCache,
            lambda: FasterCache(
                3,
                guidance_interval=10,
                attention_window=FROM_EARLY_ON,
                guidance_window=FROM_EARLY_ON,
            ),
        ),
    ),
    ("TGate", ("dit", "unet"), (lambda: TGate(22), TGate, lambda: TGate(10))),
    (
        "SmoothCache",
        ("dit", "unet"),
        (
            _fora(2, ATTENTION),
            _fora(2, ATTENTION, FEED_FORWARD),
            _fora(3, ATTENTION, FEED_FORWARD),
        ),
    ),
)
"""Method, the models it works on, and its mild, default and bold settings: one line a method."""

SETTINGS = tuple(
    Setting(model, name, label, make)
    for name, models, makers in TABLE
    for model in models
    for label, make in zip(LABELS, makers, strict=True)
)
