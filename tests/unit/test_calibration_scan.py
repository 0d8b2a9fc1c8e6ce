"""From errors to a schedule: what the authors' calibrator decided, and the edges of it.

The fixture is written by ``tests/reference/freeze_calibration.py``, which says what is in it.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from calibration_files import scanned
from safetensors import safe_open
from stepcache.cache_core.calibration import Lags

FIXTURE = (
    Path(__file__).parents[1] / "reference" / "fixtures" / "smoothcache_calibrator.safetensors"
)

with safe_open(FIXTURE, framework="pt") as _file:
    FROZEN: dict[str, Any] = json.loads(_file.metadata()["run"])
    OUTPUTS = {path: _file.get_tensor(path) for path in _file.keys()}  # noqa: SIM118

STEPS = len(FROZEN["timesteps"])
LOOKAHEAD = 5
COMPONENTS = ("attn1", "ff")


def lags_of(rows: Any) -> Lags:
    return tuple(tuple(row) for row in rows)


def strip(compute: tuple[bool, ...]) -> str:
    return "".join("1" if flag else "0" for flag in compute)


def lags(steps: int, *rows: float | tuple[float, ...]) -> Lags:
    """Rows of errors by lag; a number stands for a row of it."""
    return tuple(
        row if isinstance(row, tuple) else (row,) * max(steps - lag, 0)
        for lag, row in enumerate(rows, start=1)
    )


# What the authors' calibrator did.


def test_every_setting_is_frozen() -> None:
    settings = [setting.split() for setting in FROZEN["schedules"]]
    alphas, lookaheads = zip(*settings, strict=True)
    assert len(settings) == 24
    assert {float(alpha) for alpha in alphas} == {0.01, 0.02, 0.05, 0.1, 0.2, 0.4}
    assert {int(lookahead) for lookahead in lookaheads} == {1, 2, 3, LOOKAHEAD}


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_frozen_schedules_differ(component: str) -> None:
    """Otherwise a wrong scan would not show."""
    schedules = {schedule[component] for schedule in FROZEN["schedules"].values()}
    assert len(schedules) > 10
    hops = {len(hop) for schedule in schedules for hop in schedule.split("1")}
    assert hops >= {0, 1, 2, 3, 5}


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("setting", FROZEN["schedules"])
def test_the_scan_decides_as_the_authors_calibrator(setting: str, component: str) -> None:
    alpha, lookahead = setting.split()
    errors = lags_of(FROZEN["errors"][component])
    found = scanned(errors, STEPS, float(alpha), int(lookahead))
    assert strip(found) == FROZEN["schedules"][setting][component]


@pytest.mark.parametrize("component", COMPONENTS)
def test_errors_that_were_not_measured_are_as_good_as_left_out(component: str) -> None:
    errors = lags_of(FROZEN["errors"][component])
    for setting, schedule in FROZEN["schedules"].items():
        alpha, lookahead = float(setting.split()[0]), int(setting.split()[1])
        assert strip(scanned(errors[:lookahead], STEPS, alpha, LOOKAHEAD)) == schedule[component]


@pytest.mark.parametrize("path", OUTPUTS)
def test_the_frozen_errors_are_those_of_the_frozen_outputs(path: str) -> None:
    """The L1 norm of the change over all rows, divided by that of the newer output."""
    outputs = OUTPUTS[path].double()
    for lag, row in enumerate(FROZEN["errors_of_layers"][path], start=1):
        change = (outputs[lag:] - outputs[:-lag]).abs().sum(dim=(1, 2, 3))
        # The calibrator sums in float32.
        expected = (change / outputs[lag:].abs().sum(dim=(1, 2, 3))).tolist()
        assert row == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_frozen_errors_are_means_over_blocks(component: str) -> None:
    blocks = [rows for path, rows in FROZEN["errors_of_layers"].items() if path.endswith(component)]
    assert len(blocks) == 3
    for lag in range(LOOKAHEAD):
        means = [sum(errors) / 3 for errors in zip(*(rows[lag] for rows in blocks), strict=True)]
        assert FROZEN["errors"][component][lag] == pytest.approx(means, rel=1e-12)


def test_outputs_are_of_every_layer_and_step() -> None:
    assert set(OUTPUTS) == {
        f"transformer_blocks.{i}.{name}" for i in range(3) for name in COMPONENTS
    }
    for outputs in OUTPUTS.values():
        assert outputs.dtype == torch.float32
        assert outputs.shape == (STEPS, 4, 16, 16)


# Edges.


def test_at_alpha_0_only_what_does_not_change_at_all_is_reused() -> None:
    assert strip(scanned(lags(6, 0.1, 0.2), 6, 0.0, 2)) == "111111"
    assert strip(scanned(lags(6, (0.1, 0.0, 0.1, 1e-300, 0.1)), 6, 0.0, 2)) == "110111"


@pytest.mark.parametrize("lookahead", [1, 2, 3, 4])
def test_at_a_huge_alpha_every_hop_is_as_long_as_may_be(lookahead: int) -> None:
    steps = 13
    errors = lags(steps, *(0.9,) * 4)
    expected = "".join("1" if step % (lookahead + 1) == 0 else "0" for step in range(steps - 1))
    assert strip(scanned(errors, steps, 1000.0, lookahead)) == expected + "1"


def test_a_lookahead_beyond_the_run_reuses_all_between_its_ends() -> None:
    steps = 4
    errors = lags(steps, *(0.5,) * 9)
    assert [len(row) for row in errors] == [3, 2, 1, 0, 0, 0, 0, 0, 0]
    assert strip(scanned(errors, steps, 0.5, 9)) == "1001"
    assert strip(scanned(errors, steps, 0.5, 100)) == "1001"


@pytest.mark.parametrize("error", [0.0, 0.5, math.inf])
def test_two_steps_both_compute(error: float) -> None:
    assert scanned(((error,), ()), 2, 1.0, 2) == (True, True)


def test_an_error_as_great_as_alpha_is_small_enough() -> None:
    errors = lags(4, 0.25)
    assert strip(scanned(errors, 4, 0.25, 1)) == "1011"
    assert strip(scanned(errors, 4, math.nextafter(0.25, 0), 1)) == "1111"


@pytest.mark.parametrize("unknown", [math.inf, math.nan])
def test_what_is_not_known_is_never_reused(unknown: float) -> None:
    errors = lags(6, (unknown, 0.1, unknown, 0.1, 0.1), unknown)
    assert strip(scanned(errors, 6, 1e300, 2)) == "110101"
    assert strip(scanned(lags(6, unknown, unknown), 6, 1e300, 2)) == "111111"


def test_the_longest_hop_wins_and_nothing_between_its_ends_is_looked_at() -> None:
    errors = lags(6, 0.9, 0.9, 0.1)
    assert strip(scanned(errors, 6, 0.1, 3)) == "100011"
    assert strip(scanned(errors, 6, 0.1, 2)) == "111111"


def test_a_hop_begins_at_a_computed_step() -> None:
    # From step 1 the change is small; it is reused from step 0, and is nobody's source.
    errors = lags(6, (0.1, 0.1, 0.9, 0.9, 0.9))
    assert strip(scanned(errors, 6, 0.1, 1)) == "101111"


def test_the_first_and_the_last_step_compute_whatever_the_errors() -> None:
    random.seed(0)
    for _ in range(300):
        steps, lookahead = random.randint(2, 30), random.randint(1, 6)
        errors = lags(
            steps,
            *(
                tuple(random.random() for _ in range(max(steps - lag, 0)))
                for lag in range(1, lookahead + 1)
            ),
        )
        found = scanned(errors, steps, random.random(), lookahead)
        assert len(found) == steps and found[0] and found[-1]
        assert max(map(len, strip(found).split("1"))) <= lookahead
