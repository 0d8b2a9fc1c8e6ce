"""What a person asks of a calibrating run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigError
from .calibration import Average, Calibration

Deliver = Callable[[Calibration], tuple[Calibration, tuple[str, ...]]]
"""Takes what a run measured; returns what is known now, with earlier runs, and remarks."""


@dataclass(frozen=True, slots=True)
class Study:
    """How a run is measured.

    Args:
        deliver: where the calibration goes when the run is over.
        lookahead: distances of 1 … so many steps are measured, 1 … 20.
        average: how latents are averaged.
        with_layers: whether rows of single layers are wanted too.
        memory: most bytes for whole values of layers, which show how much their change matters.

    Raises:
        ConfigError: a lookahead out of range.
    """

    deliver: Deliver
    lookahead: int = 4
    average: Average = "per sample"
    with_layers: bool = False
    memory: int = 2**30

    def __post_init__(self) -> None:
        if not 1 <= self.lookahead <= 20:
            raise ConfigError(f"lookahead is {self.lookahead}; expected 1 to 20 steps")
