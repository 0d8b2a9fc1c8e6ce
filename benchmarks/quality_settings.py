"""Which settings of which method are scored on which reference model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    FasterCache,
    Method,
    SmoothCache,
    TGate,
)
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

LABELS = ("mild", "default", "bold")
NODE_WINDOW = PercentRange(0.15, 0.9)
"""The node's defaults; PAB's own window is the published one in timesteps."""


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


def _pab(self_attention: int, cross_attention: int) -> Callable[[], Method]:
    return lambda: PAB(self_attention, 4, cross_attention, NODE_WINDOW)


def _every(interval: int, *kinds: SiteKind) -> Callable[[], Method]:
    """A FORA schedule of the 30 steps that all runs here have."""
    row = tuple(step % interval == 0 for step in range(30))
    return lambda: SmoothCache(tuple((kind, None, row) for kind in kinds), f"every {interval}")


ATTENTION, FEED_FORWARD = SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD

Makers = tuple[Callable[[], Method], Callable[[], Method], Callable[[], Method]]

TABLE: tuple[tuple[str, tuple[str, ...], Makers], ...] = (
    ("PAB", ("dit", "unet"), (_pab(2, 2), _pab(2, 6), _pab(4, 12))),
    ("DeepCache", ("unet",), (lambda: DeepCache(2), DeepCache, lambda: DeepCache(5))),
    (
        "FasterCache",
        ("dit", "unet"),
        (
            lambda: FasterCache(guidance_interval=2),
            FasterCache,
            lambda: FasterCache(3, guidance_interval=10),
        ),
    ),
    ("TGate", ("dit", "unet"), (lambda: TGate(20), TGate, lambda: TGate(5))),
    (
        "SmoothCache",
        ("dit", "unet"),
        (
            _every(2, ATTENTION),
            _every(2, ATTENTION, FEED_FORWARD),
            _every(3, ATTENTION, FEED_FORWARD),
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
