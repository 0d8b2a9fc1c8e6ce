"""The frozen runs are what the references do today."""

from __future__ import annotations

import freeze
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
            # Another machine's kernels round differently; pictures are in float32.
            tolerance = 1e-4 if tensor.dtype == torch.float32 else 1e-9
            torch.testing.assert_close(tensor, file.get_tensor(key), rtol=0, atol=tolerance)


def test_every_fixture_has_a_case_and_all_are_small() -> None:
    files = list(freeze.FIXTURES.iterdir())
    assert {file.stem for file in files} == set(freeze.CASES)
    assert sum(file.stat().st_size for file in files) < 1_000_000
