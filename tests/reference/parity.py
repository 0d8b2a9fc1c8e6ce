"""What the parity suite measures, and the table that it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

MIN_EFFECT = 1e-3
"""A cached run has to differ from the uncached one by this, so that doing nothing cannot pass."""

TOLERANCE = 5e-6
"""Between two implementations of one network in float32, which order their operations differently.
Relative to the largest number of an answer where that is above one: rounding is."""

HEADINGS = ("method", "reference", "ours runs on", "settings", "max difference", "effect")


@dataclass
class Row:
    """What was seen of one method, one reference and one host."""

    settings: int = 0
    difference: float = 0.0
    effect: float = float("inf")


class Table:
    """Method × reference × host: how many settings, the largest difference, the least effect."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], Row] = {}

    def add(self, what: tuple[str, str, str], difference: float, effect: float) -> None:
        """Take one setting in."""
        row = self._rows.setdefault(what, Row())
        row.settings += 1
        row.difference = max(row.difference, difference)
        row.effect = min(row.effect, effect)

    def lines(self) -> list[str]:
        """The table as text, sorted; nothing if nothing was measured."""
        cells = [HEADINGS] + [
            (*what, str(row.settings), f"{row.difference:.1e}", f"{row.effect:.1e}")
            for what, row in sorted(self._rows.items())
        ]
        if not self._rows:
            return []
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells
        ]


def assert_identical(
    table: Table,
    what: tuple[str, str, str],
    ours: Sequence[torch.Tensor],
    reference: Sequence[torch.Tensor],
    uncached: Sequence[torch.Tensor],
) -> None:
    """Bit-identical at every step, and not for want of an effect."""
    effect = greatest_difference(reference, uncached)
    table.add(what, greatest_difference(ours, reference), effect)
    unequal = [
        step
        for step, (own, theirs) in enumerate(zip(ours, reference, strict=True))
        if not torch.equal(own, theirs)
    ]
    assert not unequal, f"these steps differ: {unequal}"
    assert effect > MIN_EFFECT


def assert_close(
    table: Table,
    what: tuple[str, str, str],
    ours: Sequence[torch.Tensor],
    reference: Sequence[torch.Tensor],
    uncached: Sequence[torch.Tensor],
    strip: str,
    sizes: Sequence[float] | None = None,
) -> None:
    """The same within `TOLERANCE` at every step, and every reuse is one.

    Args:
        uncached: what the reference answers to the same questions without its cache.
        strip: one letter per step, R where something is reused.
        sizes: the largest number that each answer of ours was computed from, where that is larger
            than the answer.
    """
    effects = _relative_differences(uncached, reference)
    shown = [effect for effect, letter in zip(effects, strip, strict=True) if letter == "R"]
    differences = _relative_differences(ours, reference, sizes)
    table.add(what, max(differences), max(effects))
    assert max(differences) <= TOLERANCE
    assert max(effects) > MIN_EFFECT
    assert min(shown) > 20 * TOLERANCE


def _relative_differences(
    some: Sequence[torch.Tensor],
    reference: Sequence[torch.Tensor],
    sizes: Sequence[float] | None = None,
) -> list[float]:
    return [
        (answer - expected).abs().max().item() / max(1.0, size, expected.abs().max().item())
        for answer, expected, size in zip(
            some, reference, sizes or [0.0] * len(reference), strict=True
        )
    ]


def greatest_difference(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    """Over all steps."""
    return max((a - b).abs().max().item() for a, b in zip(some, others, strict=True))
