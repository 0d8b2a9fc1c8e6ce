"""Picture comparison against values that can be worked out by hand, and the results table."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from demonstration.client import Run
from demonstration.measure import psnr, read_picture, ssim
from demonstration.results import Series, fault_of, judged_pictures, summarise, table
from demonstration.sheet import SIDE, Tile, contact_sheet, mosaic
from demonstration.threads import threads_for, use_free_cores
from PIL import Image


def flat(value: float, side: int = 32) -> np.ndarray:
    return np.full((side, side, 3), value)


def encoded(level: int, side: int = 32) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (side, side), (level, level, level)).save(data, "png")
    return data.getvalue()


def test_psnr_of_a_tenth_of_the_range_is_20_db() -> None:
    assert psnr(flat(0.5), flat(0.6)) == pytest.approx(20.0)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert psnr(flat(0.3), flat(0.3)) == math.inf


def test_pictures_of_different_size_are_refused() -> None:
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match="different shape"):
            measure(flat(0.5, 32), flat(0.5, 16))


def test_ssim_of_equal_pictures_is_one() -> None:
    noise = np.random.default_rng(0).random((40, 40, 3))
    assert ssim(noise, noise) == pytest.approx(1.0)


def test_ssim_of_flat_pictures_is_its_luminance_term() -> None:
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert ssim(flat(0.2), flat(0.8)) == pytest.approx(expected)


def test_ssim_of_independent_noise_is_near_zero() -> None:
    random = np.random.default_rng(1)
    assert abs(ssim(random.random((128, 128, 3)), random.random((128, 128, 3)))) < 0.05


def test_ssim_of_a_negative_is_below_zero() -> None:
    noise = np.random.default_rng(2).random((64, 64, 3))
    assert ssim(noise, 1 - noise) < -0.8


def test_a_picture_is_read_in_the_range_0_to_1() -> None:
    pixels = read_picture(encoded(51))
    assert pixels.shape == (32, 32, 3)
    assert pixels.max() == pytest.approx(0.2)


def series_pair(plain_seconds: list[float], own_seconds: list[float]) -> tuple[Series, Series]:
    plain = Series("unet_plain")
    plain.runs = [Run(i, s, 4, [encoded(100)]) for i, s in enumerate(plain_seconds)]
    own = Series("unet_deepcache", plain)
    report = {"evaluations": 4, "computed": 3, "reused": 5, "peak_bytes": 2**21}
    own.runs = [Run(i, s, 4, [encoded(100)], [report]) for i, s in enumerate(own_seconds)]
    return plain, own


def test_speedup_is_the_median_of_the_rounds_ratios() -> None:
    _, own = series_pair([10.0, 11.0, 21.0], [5.0, 5.0, 10.0])
    row = summarise(own)
    assert row.speedup == pytest.approx(2.1)
    assert row.seconds == pytest.approx(5.0)
    assert (row.evaluations, row.computed, row.reused, row.extra_mib) == (4, 3, 5, 2.0)


@pytest.mark.parametrize(
    ("plain_seconds", "noise"),
    [
        ([10.65], "1 round"),
        ([1.2, 1.2], "2 rounds"),
        ([10.65, 0.5, 1.2], "3 rounds, 0.50x to 10.65x"),
        ([1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 10.65], "8 rounds, 1.20x to 10.65x"),
        ([1.0, 1.0, 1.0, 1.2, 1.2, 1.2, 1.4, 1.4, 1.4], "9 rounds, 1.00x to 1.40x"),
    ],
)
def test_rounds_that_are_too_few_or_too_scattered_tell_no_speedup(
    plain_seconds: list[float], noise: str
) -> None:
    plain, own = series_pair(plain_seconds, [1.0] * len(plain_seconds))
    row = summarise(own)
    assert (row.speedup, row.noise) == (None, noise)
    text = table([summarise(plain), row])
    assert f"Too noisy to tell a speedup: unet_deepcache ({noise})." in text
    assert "x  " not in text.split("Too noisy")[0]


def test_a_single_outlier_among_many_rounds_does_no_harm() -> None:
    _, own = series_pair([1.2] * 8 + [10.65], [1.0] * 9)
    assert summarise(own).speedup == pytest.approx(1.2)


JUDGED = "{} of 2 pictures correct\npicture 1: correct, a circle\npicture 2: {}, a blue circle"


@pytest.mark.parametrize(
    ("texts", "pictures", "fault"),
    [
        ([JUDGED.format(2, "correct")], 2, None),
        ([JUDGED.format(1, "wrong")], 2, "seed 7: wrong, a blue circle"),
        ([JUDGED.format(2, "correct")], 3, "seed 7: 3 pictures, 2 judged"),
        ([], 2, "seed 7: 2 pictures, 0 judged"),
        ([], 0, "seed 7: 0 pictures, 0 judged"),
    ],
)
def test_every_picture_has_to_be_judged_correct(
    texts: list[str], pictures: int, fault: str | None
) -> None:
    series = Series("dit_pab", runs=[Run(7, 1.0, 4, [encoded(100)] * pictures, texts=texts)])
    assert fault_of(series) == fault


def test_a_workflow_that_failed_or_did_not_run_is_at_fault() -> None:
    assert fault_of(Series("dit_pab", failure="no such node")) == "no such node"
    assert fault_of(Series("dit_pab")) == "it did not run"


def test_verdicts_of_all_rounds_are_counted() -> None:
    texts = [JUDGED.format(2, "correct")], [JUDGED.format(1, "wrong")]
    runs = [Run(i, 1.0, 4, [encoded(100)] * 2, texts=text) for i, text in enumerate(texts)]
    series = Series("dit_clip_pab", runs=runs)
    assert judged_pictures([series, series]) == (6, 8)
    assert summarise(series).verdict == "3 of 4 pictures correct"


@pytest.mark.parametrize(
    ("busy", "threads"),
    [([0, 0], 2), ([6, 15], 2), ([100, 0], 1), ([50, 50], 1), ([100, 100], 1), ([40, 0, 0, 0], 3)],
)
def test_as_many_threads_as_cores_are_free(busy: list[float], threads: int) -> None:
    assert threads_for(busy) == threads


def test_a_number_of_threads_that_the_person_has_set_stays() -> None:
    variables = {"OMP_NUM_THREADS": "7"}
    use_free_cores(variables)
    assert variables == {"OMP_NUM_THREADS": "7"}


def test_equal_pictures_are_said_to_be_equal_and_stay_valid_json() -> None:
    _, own = series_pair([1.0], [1.0])
    row = summarise(own)
    assert json.loads(json.dumps(row.to_dict(), allow_nan=False))["psnr"] is None
    assert "equal" in table([row])


def test_a_failure_has_its_row_and_its_reason() -> None:
    row = summarise(Series("dit_deepcache", failure="DeepCache UNet: this model has no UNet"))
    text = table([row])
    assert "failed, see below" in text
    assert text.endswith("dit_deepcache: DeepCache UNet: this model has no UNet\n")


def test_a_run_without_reuse_says_why() -> None:
    _, own = series_pair([1.0], [1.0])
    own.runs[0].reports[0].update(reused=0, nothing_reused_because="the settings plan no reuse")
    assert "unet_deepcache reused nothing: the settings plan no reuse" in table([summarise(own)])


def test_table_columns_stand_below_each_other() -> None:
    plain, own = series_pair([1.0] * 3, [0.25] * 3)
    lines = table([summarise(plain), summarise(own)]).splitlines()
    end = lines[0].index("speedup") + len("speedup")
    assert lines[3][:end].endswith("4.00x")


def test_a_clip_is_shown_by_four_of_its_frames() -> None:
    frames = [encoded(level, SIDE) for level in (0, 40, 80, 120, 160, 200, 240)]
    square = mosaic(frames)
    edge = SIDE - 10
    corners = [square.getpixel(at)[0] for at in ((9, 9), (edge, 9), (9, edge), (edge, edge))]
    assert corners[0] == 0
    assert corners[-1] == 240
    assert corners == sorted(corners)


def test_contact_sheet_holds_every_tile() -> None:
    tile = Tile([encoded(255, SIDE)], "name", "details")
    sheet = contact_sheet(
        ["unet", "dit"], [("plain", {"unet": tile, "dit": tile}), ("pab", {"dit": tile})]
    )
    white = np.asarray(sheet.convert("L")) == 255
    assert white.sum() >= 3 * SIDE * SIDE
