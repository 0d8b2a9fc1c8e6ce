"""How the noise estimate changes over a run, as a few hundred numbers. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .table import is_same

Floats = NDArray[np.float64]

MAX_LEVELS = 64
"""Noise levels that are kept of one run; between them is read off."""


@dataclass(frozen=True, slots=True)
class NoiseChanges:
    """Inner products of the changes of the guided noise estimate between noise levels.

    Of changes, because the error of a forecast is a sum of them: products of whole estimates are
    about 1, and what is looked for is a millionth of that.

    Args:
        half_log_snrs: log(alpha / sigma) at the measured evaluations, not falling, and at the end
            of the run; levels + 1 of them.
        products: row i, column j: product of the changes from level i to i + 1 and from i + j to
            i + j + 1, mean over the elements of latents; levels - 1 rows, each one shorter than
            the row before.
    """

    half_log_snrs: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, half_log_snrs: Sequence[float], matrix: Floats) -> NoiseChanges:
        """From the whole matrix, shape (levels - 1, levels - 1)."""
        rows = tuple(tuple(row[at:].tolist()) for at, row in enumerate(matrix))
        return cls(tuple(half_log_snrs), rows)

    @property
    def levels(self) -> int:
        """Noise levels that were measured."""
        return len(self.half_log_snrs) - 1

    @property
    def matrix(self) -> Floats:
        """All products, shape (levels - 1, levels - 1)."""
        size = self.levels - 1
        upper: Floats = np.zeros((size, size))
        for at, row in enumerate(self.products):
            upper[at, at:] = row
        above: Floats = np.triu(upper, 1)
        below: Floats = np.swapaxes(above, 0, 1)
        return upper + below

    def at(self, half_log_snrs: Sequence[float]) -> Floats:
        """The matrix of a run over other noise levels, between which estimates lie on lines.

        Args:
            half_log_snrs: of its steps. Beyond what was measured nothing changes.

        Returns:
            Shape (steps - 1, steps - 1).
        """
        known, asked = np.array(self.half_log_snrs[:-1]), np.array(half_log_snrs)
        lengths = np.diff(known)
        # How much of every measured change has happened; where two levels are one, all at once.
        come = (asked[:, None] - known[:-1]) / np.where(lengths > 0, lengths, np.finfo(float).tiny)
        parts: Floats = np.diff(np.minimum(np.maximum(come, 0.0), 1.0), axis=0)
        turned: Floats = np.swapaxes(parts, 0, 1)
        return parts @ self.matrix @ turned

    def mixed(self, weight: int, other: NoiseChanges | None, other_weight: int) -> NoiseChanges:
        """The mean with those of a like run; these alone where the other has none like them."""
        if other is None or not is_same(self.half_log_snrs, other.half_log_snrs):
            return self
        total = weight * self.matrix + other_weight * other.matrix
        return NoiseChanges.of(self.half_log_snrs, total / (weight + other_weight))
