"""Hundreds of schedules at once, for a search that keeps one of them: what `Predictor.predict`
finds of each, to the last bit. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, repeat

import numpy as np
from numpy.typing import NDArray

from ..effort import spend
from ..sites import Part, SiteKind, SiteSelector
from .groups import LAYERS
from .prediction import Predictor, dispatch_overhead, part_of
from .table import Place, changes_of

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]

MAX_CELLS = 2**20
"""Flags that are judged at one time: of a very long run there are many."""


def judged(
    predictor: Predictor, places: Sequence[Place], compute: Flags
) -> Iterator[tuple[float, float]]:
    """Speedup and error of schedules, as `Predictor.predict` says of the rules of each.

    Args:
        predictor: of the run; what layers cost is known.
        places: what the rows are about: kinds of layers, or single ones, or whole blocks.
        compute: shape (schedules, places, steps), True computes; the first step always does, and
            none reuses over more steps than were measured.
    """
    most = max(MAX_CELLS // compute[0].size, 1)
    # Each pass goes over steps and places with calls of their own, beside the cells.
    spend(compute.size * 0.06 + compute[0].size * (5 * len(compute) // most + 5))
    for begin in range(0, len(compute), most):
        # What is estimated by step and place goes over all schedules in a row.
        some = np.ascontiguousarray(np.transpose(compute[begin : begin + most]))
        yield from zip(
            _speedups(predictor, places, some), _errors(predictor, places, some), strict=True
        )


def _speedups(predictor: Predictor, places: Sequence[Place], compute: Flags) -> Iterator[float]:
    """Of flags of shape (steps, places, schedules), as all below."""
    costs, reuse, steps = predictor.calibration.costs, ~compute, len(compute)
    beyond = costs.beyond if places[0].kind in LAYERS else 0.0
    cost = _costs(reuse, _shares(predictor, places, costs.seconds or costs.flops), beyond)
    is_timed = bool(costs.seconds)
    keeping, asked = (
        _shares(predictor, places, shares if is_timed else {})
        for shares in (costs.keeping, costs.asking)
    )
    # With one step of slack, as `Plan.is_needed_after`.
    is_needed = np.array(reuse)
    is_needed[1:] |= reuse[:-1]
    is_needed[:-1] |= reuse[1:]
    kept: list[list[int]] = np.transpose(np.count_nonzero(compute & is_needed, axis=0)).tolist()
    patching = costs.patching if is_timed else 0.0
    reused: list[list[bool]] = np.transpose(reuse.any(axis=0)).tolist()
    to_keep, to_ask = keeping.tolist(), asked.tolist()
    for computing, counts, reuses in zip(cost.tolist(), kept, reused, strict=True):
        added = math.fsum(chain.from_iterable(map(repeat, to_keep, counts))) / steps
        yield 1 / (computing + added + dispatch_overhead(list(compress(to_ask, reuses)), patching))


def _costs(reuse: Flags, shares: Numbers, beyond: float) -> Numbers:
    """Every run's cost, 1 where nothing is reused."""
    saved = _sum(np.where(reuse[:, place], share, 0.0) for place, share in enumerate(shares))
    saved = saved + beyond * saved * saved
    return _sum(np.maximum(1 - saved, 0.0)) / len(reuse)


def _sum(terms: Iterable[Numbers]) -> Numbers:
    """In their order: in another one it would be rounded anew."""
    first, *others = terms
    total = np.array(first)
    for term in others:
        total += term
    return total


def _shares(
    predictor: Predictor, places: Sequence[Place], by_part: Mapping[Part, float]
) -> Numbers:
    return np.array([
        by_part.get((place.kind, None), 0.0) * part
        for place, part in zip(places, _parts(predictor, places), strict=True)
    ])  # fmt: skip


def _parts(predictor: Predictor, places: Sequence[Place]) -> list[float]:
    """The share of its kind's sites that each place is about."""
    indices = [None if place.index is None else frozenset({place.index}) for place in places]
    selectors = map(SiteSelector, (place.kind for place in places), indices)
    return [part_of(where, predictor.calibration) for where in selectors]


def _errors(predictor: Predictor, places: Sequence[Place], compute: Flags) -> Iterator[float]:
    """Mean relative errors of the network's output; see `Predictor.predict`."""
    steps, _, schedules = compute.shape
    reuse, moments = ~compute, np.array(range(steps))[:, None, None]
    sources = np.maximum.accumulate(np.where(compute, moments, 0), axis=0)
    table = predictor.table
    changes = changes_of([table.rows[place] for place in places], steps, table.lookahead)
    missed = changes[np.indices((len(places), 1))[0], moments - sources, sources]
    # Which group it is, is told by what reuses at all.
    is_fed = np.array([place.kind is SiteKind.FEED_FORWARD for place in places])
    which = reuse[:, is_fed].any(axis=(0, 1)).astype(np.intp)
    groups = [predictor.group_of(places[0], name) for name in ("attention", "layers")]
    kinds = np.array([count for _, count, _ in groups])[which]
    weights = np.array([weight for *_, weight in groups])[which]
    part = np.array(_parts(predictor, places))[:, None] / kinds
    passes_on = places[0].kind in LAYERS
    stored, each = np.zeros((steps, schedules)), np.indices((schedules,))[0]
    # Infinite where nothing is known; times no influence that is no number.
    with np.errstate(invalid="ignore"):
        for step in range(steps):
            wrong = missed[step]
            if passes_on:
                wrong = wrong + stored[sources[step], each]
            stored[step] = _sum(np.where(reuse[step], part * wrong, 0.0))
        errors = np.abs(weights * stored)
    return (math.fsum(row) / steps for row in np.transpose(errors).tolist())
