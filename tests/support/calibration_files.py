"""A calibration that is quick to write and has a bit of everything, and how files are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    Lags,
    ModelFacts,
    Place,
    RunFacts,
)
from stepcache.cache_core.calibration.noise import NoiseChanges
from stepcache.cache_core.calibration.scan import scan
from stepcache.cache_core.calibration.table import changes_of
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.sites import SiteKind

SELF, CROSS = SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION
FEED_FORWARD, DEEP = SiteKind.FEED_FORWARD, SiteKind.DEEP_BRANCH
BLOCK, GUIDANCE = SiteKind.BLOCK, SiteKind.GUIDANCE

PLACES = (
    Place(SELF),
    Place(SELF, None, "cond"),
    Place(SELF, None, "uncond"),
    Place(SELF, 0),
    Place(SELF, 1),
    Place(FEED_FORWARD),
    Place(DEEP, 3),
)


def made(steps: int = 6, lookahead: int = 3, error: float = 0.1, **changes: Any) -> Calibration:
    """A calibration of so many steps, with changes to its fields."""
    calibration = Calibration(
        model=ModelFacts("toy", "ToyNet", "0123abcd", {SELF: 2, FEED_FORWARD: 2}),
        run=RunFacts("euler", "normal", 7, (4, 32, 32), 1.15),
        table=table(steps, lookahead, error),
        samples=2,
        costs=Costs(
            {(SELF, None): 0.25, (DEEP, 3): 0.75},
            {(SELF, None): 1 / 3},
            "toy device",
            {(SELF, None): 1 / 30},
            0.5,
            {(SELF, None): 1 / 300},
            0.02,
        ),
        influence={"layers": 0.5, "deep_branch 3": 2 / 3},
        schedule=(
            (SELF, None, flags(steps)),
            (SELF, 1, (True,) * steps),
        ),
        tool="0.1.0",
    )
    return replace(calibration, **changes)


def table(
    steps: int, lookahead: int = 3, error: float = 0.1, places: tuple[Place, ...] = PLACES
) -> ErrorTable:
    """Errors that are all different, with more digits than a file has."""
    sigmas = tuple(14.6 * (1 - step / steps) for step in range(steps + 1))
    rows = {place: lags(steps, lookahead, error + at / 7) for at, place in enumerate(places)}
    return ErrorTable(sigmas, lookahead, rows)


def lags(steps: int, lookahead: int, error: float) -> Lags:
    return tuple(
        tuple(error * lag + step / 300 for step in range(max(steps - lag, 0)))
        for lag in range(1, lookahead + 1)
    )


def noise(steps: int = 6, size: float = 0.1) -> NoiseChanges:
    """Changes that get smaller, and are like those beside them; with more digits than a file."""
    levels = tuple(2 * step / steps - 1 for step in range(steps))
    rows = tuple(
        tuple(size / (3 + step) / 4**apart for apart in range(steps - 1 - step))
        for step in range(steps - 1)
    )
    return NoiseChanges((*levels, 16.0), rows)


def flags(steps: int) -> tuple[bool, ...]:
    return tuple(step % 2 == 0 for step in range(steps))


def refusal_of(read: Callable[[Path], object], path: Path, what: str) -> str:
    """The words in which a file is refused.

    Args:
        read: what refuses it.
        what: the file is called, calibration or schedule.
    """
    with pytest.raises(ConfigError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"the {what} {path.name} "), f"the file is named: {message}"
    assert "; " in message, f"it says what to do: {message}"
    assert len(message) < 400, message
    return message


def scanned(lags: Lags, steps: int, alpha: float, lookahead: int) -> tuple[bool, ...]:
    """The schedule of one row at one threshold."""
    return tuple(scan(changes_of([lags], steps, len(lags)), [alpha], lookahead)[0, 0].tolist())
