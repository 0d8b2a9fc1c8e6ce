"""What `forecast.py` measured, by model, row and speed. Needs Python alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {"dit": "DiT", "unet": "UNet", "textures": "Textures"}
OURS = "Step Cache"
PAIRED = "Step Cache + "
"""Begins the rows of Step Cache with another method inside it, which have a file of their own."""
LAYERS = (
    "DeepCache", "SmoothCache, blocks", "SmoothCache, layers", "uniform blocks", "PAB, blocks",
    "PAB", "FasterCache", "T-GATE",
)  # fmt: skip
"""The pack's methods that act inside the network."""
NEAREST_LAYERS = "nearest of our layer methods"
"""Stands for that one of them which is nearest to the plain picture at a speed."""
ORDER = (
    OURS, "fewer steps", "fewer steps, DPM++ 2M", "EasyCache", "LazyCache", NEAREST_LAYERS, *LAYERS,
    "TaylorSeer, order 1", "TaylorSeer, order 2", "First Block Cache", "MagCache", "Spectrum",
)  # fmt: skip
EVERY = tuple(name for name in ORDER if name != NEAREST_LAYERS)
SHORT = tuple(name for name in ORDER if name not in LAYERS)
NEAR = 0.05
"""How far above the wanted share a row may be to be compared at it, relative."""
SAMPLER, SEED = "euler", 7
"""Of the main comparison."""
Row = Mapping[str, Any]


class Results:
    """The rows of one model, sampler and seed.

    Args:
        found: the file of results.
        model: of `models_of`.
        sampler, seed: of the plain run.
    """

    def __init__(
        self, found: Mapping[str, Any], model: str, sampler: str = SAMPLER, seed: int = SEED
    ) -> None:
        rows: list[Row] = [
            row for row in found["rows"]
            if (row["model"], row["sampler"], row["seed"]) == (model, sampler, seed)
        ]  # fmt: skip
        self.rows = [row for row in rows if row["method"] != "plain"]
        self.speeds: list[float] = sorted({row["speed"] for row in self.rows})

    def row(self, name: str, speed: float) -> Row | None:
        """One row, or the nearest of several."""
        names = LAYERS if name == NEAREST_LAYERS else (name,)
        at_speed = [row for row in self.at(speed) if row["method"] in names]
        fair = [row for row in at_speed if is_at_share(row)]
        return max(fair or at_speed, key=likeness, default=None)

    def best(self, speed: float) -> Row | None:
        """The row nearest to the plain picture among those that compute no more than wanted."""
        return max(filter(is_at_share, self.at(speed)), key=likeness, default=None)

    def at(self, speed: float) -> list[Row]:
        """Every row of a speed."""
        return [row for row in self.rows if row["speed"] == speed]

    def captions(self, names: Sequence[str] = EVERY) -> str:
        """How many captions some rows have, as a range."""
        counts = {row["captions"] for row in self.rows if row["method"] in names}
        return " to ".join(str(each) for each in sorted({min(counts), max(counts)}))


def models_of(found: Mapping[str, Any]) -> list[str]:
    """Models that have rows, in order."""
    there = {row["model"] for row in found["rows"] if row["method"] != "plain"}
    return [*(m for m in TITLES if m in there), *sorted(there - TITLES.keys())]


def title(model: str) -> str:
    """What a model is called."""
    return TITLES.get(model, model)


def is_at_share(row: Row) -> bool:
    """Whether a row computes no more than was wanted, or hardly."""
    return row["share"]["mean"] <= row["wanted_share"] * (1 + NEAR)


def likeness(row: Row) -> float:
    """PSNR, dB; of identical pictures infinite."""
    return float("inf") if row["psnr"] is None else row["psnr"]
