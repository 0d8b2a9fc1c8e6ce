"""How wide the networks are that `arithmetic.py` times."""

from __future__ import annotations

from dataclasses import dataclass

from . import models


@dataclass(frozen=True, slots=True)
class Scale:
    """How wide the networks are.

    Args:
        unet: channels of the first level of SD1.5's layout.
        dit: width of Wan's layout.
        int8: inputs and outputs that a layer has at least to be multiplied in int8.
        has_trained: whether the demo's models are timed too.
    """

    unet: int
    dit: int
    int8: int
    has_trained: bool

    @property
    def layer_bytes(self) -> int:
        """Of one layer of Wan's layout: cond and uncond × tokens × width × bytes."""
        return 2 * 256 * self.dit * 4

    def both(self) -> tuple[models.Bench, models.Bench]:
        """Both networks."""
        return models.sd15(channels=self.unet), models.wan(width=self.dit)


FULL, TINY = Scale(320, 1536, 512, True), Scale(32, 128, 16, False)
"""The widths of published models; and to try the code, in a moment."""
