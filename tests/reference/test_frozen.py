"""The frozen runs are what the references do today."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import freeze
import freeze_calibration
import pytest
import torch
from safetensors import safe_open


@pytest.mark.parametrize("name", freeze.CASES)
def test_a_fixture_is_what_its_reference_does(name: str) -> None:
    tensors, about = freeze.observe(name)
    with safe_open(freeze.FIXTURES / f"{name}.safetensors", framework="pt") as file:
        assert file.metadata() == about
        assert set(file.keys()) == set(tensors)
        for key, tensor in tensors.items():
            # Another machine's kernels round differently: pictures are in float32, and so are the
            # timestep embeddings of networks in float64.
            tolerance = 1e-4 if tensor.dtype == torch.float32 else 1e-5
            torch.testing.assert_close(tensor, file.get_tensor(key), rtol=0, atol=tolerance)


def test_the_frozen_calibration_is_what_the_authors_calibrator_does() -> None:
    folder = freeze_calibration.checkout()
    if folder is None:
        pytest.skip("needs a checkout of Roblox/SmoothCache at edeb4ed in SMOOTHCACHE_PATH")
    tensors, about = freeze_calibration.observe(folder)
    with safe_open(freeze_calibration.FIXTURE, framework="pt") as file:
        frozen = json.loads(file.metadata()["run"])
        assert set(file.keys()) == set(tensors)
        for key, tensor in tensors.items():
            torch.testing.assert_close(tensor, file.get_tensor(key), rtol=0, atol=1e-5)
    for name in ("errors", "errors_of_layers"):
        assert flat(frozen.pop(name)) == pytest.approx(flat(about.pop(name)), rel=1e-5)
    assert frozen == json.loads(json.dumps(about))


def flat(errors: Mapping[str, Any]) -> dict[tuple[str, int, int], float]:
    return {
        (name, lag, source): error
        for name, rows in errors.items()
        for lag, row in enumerate(rows, start=1)
        for source, error in enumerate(row)
    }


def test_every_fixture_has_a_case_and_all_are_small() -> None:
    files = list(freeze.FIXTURES.iterdir())
    assert {file.stem for file in files} == {*freeze.CASES, freeze_calibration.FIXTURE.stem}
    assert sum(file.stat().st_size for file in files) < 1_000_000
