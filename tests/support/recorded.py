"""Recorders that were fed, with made-up values or with what the authors' calibrator met.

The fixture is written by ``tests/reference/freeze_calibration.py``, which says what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from session_bench import COND, SITE, UNCOND
from stepcache.cache_core.calibration import Average, Place
from stepcache.cache_core.calibration.recorder import Recorder
from stepcache.cache_core.calibration.thinning import ELEMENTS
from stepcache.cache_core.sites import Site, SiteKind
from stepcache.cache_core.values import Value

SELF, FEED_FORWARD = SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD
FIXTURE = (
    Path(__file__).parents[1] / "reference" / "fixtures" / "smoothcache_calibrator.safetensors"
)
KINDS = {"attn1": SELF, "ff": FEED_FORWARD}
LOOKAHEAD = 5

with safe_open(FIXTURE, framework="pt") as _file:
    FROZEN: dict[str, Any] = json.loads(_file.metadata()["run"])
    OUTPUTS = {path: _file.get_tensor(path) for path in _file.keys()}  # noqa: SIM118

STEPS = len(FROZEN["timesteps"])
BOTH_STREAMS = (UNCOND, COND)
"""Rows are (uncond, uncond, cond, cond)."""


def site_of(path: str) -> Site:
    _, index, component = path.split(".")
    return Site(KINDS[component], int(index))


def recorded(average: Average, elements: int = ELEMENTS) -> Recorder:
    """The authors' run, layer after layer in every step."""
    recorder = Recorder(STEPS, LOOKAHEAD, average, elements)
    for step in range(STEPS):
        for path, outputs in OUTPUTS.items():
            recorder.observe(site_of(path), BOTH_STREAMS, outputs[step], step)
    return recorder


def fed(
    values: Sequence[Value], average: Average = "per sample", lookahead: int = 2, **options: Any
) -> Recorder:
    """A recorder that one site has shown one value per step, all of it cond."""
    recorder = Recorder(len(values), lookahead, average, **options)
    for step, value in enumerate(values):
        recorder.observe(SITE, [COND], value, step)
    return recorder


def lags(recorder: Recorder, place: Place = Place(SELF)) -> list[list[float]]:  # noqa: B008
    return [list(row) for row in recorder.rows(with_layers=True)[place]]


def near(*rows: list[float]) -> Any:
    return [pytest.approx(row) for row in rows]
