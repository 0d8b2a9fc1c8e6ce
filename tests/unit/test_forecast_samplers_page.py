"""What was measured with every sampler and scheduler: the page, and what it has to show."""

from __future__ import annotations

import json
from typing import Any

import pack

import pytest
from stepcache.cache_core.methods.step_cache import FEW

from benchmarks.forecast_samplers_page import AUTO, HELD, behind, broken, page_of

FOLDER = pack.ROOT / "benchmarks" / "results"
MAX_BEHIND = 1.0
"""dB below the denoised latent held, which no sampler may exceed."""
UNSEEN = 55.0
"""dB from which on pictures differ by less than half of one of 255 levels."""


def setting(psnr: float | None, broken: int = 0) -> dict[str, Any]:
    return {"psnr": psnr, "broken": broken, "right": 4 - broken, "computed": 10, "evaluations": 20}


def row(auto: dict[str, Any], held: dict[str, Any], sampler: str = "euler") -> dict[str, Any]:
    return {
        "model": "dit", "sampler": sampler, "scheduler": "simple", "steps": 20, "speed": 2.0,
        "cfg": 2.0, "sort": "one step", "plain_right": 4, "settings": {AUTO: auto, HELD: held},
    }  # fmt: skip


def test_a_line_tells_what_broke_and_the_head_which_cell_is_worst() -> None:
    cells = {
        "a": row(setting(40.04), setting(30.0)),
        "b": row(setting(29.0, broken=1), setting(30.5), "lms"),
        "c": row(setting(None), setting(None), "dpm_adaptive"),
    }
    page = page_of({"method": "words", "captions": 4, "cells": cells})
    assert (
        "| euler | simple | 20 | 2× | 2 | one step | 10 of 20 | 40.0 | 30.0 | – | 4 / 4 |" in page
    )
    assert "| 29.0 (1 broken) | 30.5 | – | 3 / 4 |" in page
    assert "| equal | equal |" in page
    assert "3 cells, 1 of 12 right pictures broken" in page
    assert "is lms, simple, 20 steps, CFG 2: -1.5 dB." in page
    assert [behind(cell) for cell in cells.values()] == pytest.approx([-10.04, 1.5, 0.0])


def is_told(cell: dict[str, Any]) -> bool:
    """Whether it is a run of few steps, whose report tells what it loses."""
    return cell["steps"] <= FEW


def is_unseen(cell: dict[str, Any]) -> bool:
    psnr = cell["settings"][AUTO]["psnr"]
    return psnr is None or psnr >= UNSEEN


def _found() -> dict[str, Any]:
    return json.loads((FOLDER / "forecast_samplers.json").read_text(encoding="utf-8"))


def test_the_page_beside_the_results_is_what_was_measured() -> None:
    page = (FOLDER / "forecast_samplers.md").read_text(encoding="utf-8")
    assert page == page_of(_found())


def test_no_measured_cell_is_far_behind_or_breaks_pictures() -> None:
    cells = _found()["cells"]
    seen = {name: cell for name, cell in cells.items() if not is_told(cell) and not is_unseen(cell)}
    assert {name for name, cell in seen.items() if behind(cell) > MAX_BEHIND} == set()
    assert {name for name, cell in cells.items() if broken(cell)} == set()
