"""Node "Step Cache Compare"."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import pytest
import torch
import toys
from PIL import Image
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import PercentRange
from stepcache.nodes.step_cache_compare import StepCacheCompare


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where previews are written."""
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    return tmp_path


def pictures(count: int = 1, side: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, side, side, 3, generator=torch.Generator().manual_seed(seed))


def compare(plain: torch.Tensor, cached: torch.Tensor, **inputs: Any) -> Any:
    return StepCacheCompare.execute(plain=plain, cached=cached, **inputs)


def test_a_tenth_of_the_range_is_twenty_decibels(temporary: Path) -> None:
    plain = pictures() * 0.8
    image, text, decibels, similarity, data = compare(plain, plain + 0.1).result
    assert decibels == pytest.approx(20.0, abs=0.01)
    assert 0.8 < similarity < 1.0
    assert "PSNR 20.00 dB" in text
    assert json.loads(data)["largest_difference"] == pytest.approx(0.1, abs=1e-3)
    assert image.shape[0] == 1 and image.shape[-1] == 3
    assert image.min() >= 0.0 and image.max() <= 1.0
    assert list(temporary.iterdir()), "the preview on the node"


def test_equal_pictures_are_told_apart_from_alike_ones() -> None:
    plain = pictures(3)
    _, text, decibels, similarity, _ = compare(plain, plain.clone()).result
    assert math.isinf(decibels) and similarity == pytest.approx(1.0)
    assert text.startswith("The pictures are the same to the last bit.")
    cached = plain.clone()
    cached[1] = 1 - cached[1]
    _, text, decibels, _, data = compare(plain, cached).result
    assert math.isfinite(decibels)
    assert "3 pictures, PSNR without 2 equal ones" in text
    assert json.loads(data)["equal_pictures"] == 2


def test_any_picture_of_a_batch_can_be_shown() -> None:
    plain, cached = pictures(2), pictures(2, seed=1)
    first, second, beyond = (compare(plain, cached, shown=i).result[0] for i in (0, 1, 99))
    assert not torch.equal(first, second)
    assert torch.equal(second, beyond)


def test_pairs_for_the_slider_are_the_pictures_themselves(temporary: Path) -> None:
    plain, cached = pictures(3), pictures(3, seed=1)
    pairs = compare(plain, cached).ui["pairs"]
    assert [(pair["number"], pair["of"]) for pair in pairs] == [(1, 3), (2, 3), (3, 3)]
    for number, pair in enumerate(pairs):
        for name, batch in (("plain", plain), ("cached", cached)):
            saved = np.asarray(Image.open(temporary / pair[name]["filename"]), dtype=np.float32)
            assert np.abs(saved / 255 - batch[number].numpy()).max() <= 1 / 255


def test_of_a_long_video_the_slider_has_evenly_chosen_frames() -> None:
    numbers = [pair["number"] for pair in compare(pictures(81), pictures(81, seed=1)).ui["pairs"]]
    assert numbers == list(range(1, 82, 3)), "no more than 32 of 81"


def test_pictures_too_small_for_a_window_have_no_ssim() -> None:
    _, text, decibels, similarity, _ = compare(pictures(side=8), pictures(side=8, seed=1)).result
    assert math.isfinite(decibels) and math.isnan(similarity)
    assert "SSIM" not in text


def test_pictures_with_transparency_and_of_half_precision_are_compared() -> None:
    plain = torch.cat([pictures(), torch.ones(1, 32, 32, 1)], -1).half()
    assert math.isinf(compare(plain, plain).result[2])


@pytest.mark.parametrize("name", ["plain", "cached"])
def test_a_picture_without_numbers_is_not_called_equal(name: str) -> None:
    both = {"plain": pictures(), "cached": pictures()}
    both[name][0, 3, 3] = math.nan
    with pytest.raises(StepCacheError, match=f"Step Cache Compare: the {name} picture holds valu"):
        compare(**both)


def test_the_model_tells_what_was_saved() -> None:
    method = PAB(2, 2, 2, PercentRange(0.0, 1.0))
    patched = attach(toys.load("wan"), method)
    with pytest.raises(StepCacheError, match=r"Step Cache Compare: .* not been sampled yet"):
        compare(pictures(), pictures(), model=patched)
    toys.sample(patched, "wan", steps=8)
    _, text, _, _, data = compare(pictures(), pictures(seed=1), model=patched).result
    assert "the cached run took" in text
    assert json.loads(data)["seconds"] > 0


@pytest.mark.parametrize("other", [pictures(2), pictures(side=48)])
def test_pictures_that_do_not_match_are_refused(other: torch.Tensor) -> None:
    with pytest.raises(StepCacheError, match="Step Cache Compare: plain is 1 of 32 x 32, cached"):
        compare(pictures(), other)
