"""The picture of a calibration: everything on it is there, readable, and where it belongs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ImageFont
from stepcache.cache_core.calibration import Costs, Place
from stepcache.cache_core.sites import SiteKind
from stepcache.pictures import canvas, draw, fonts, series, to_image

from pictures import KINDS, SELF, Words, calibration_of, case_of, check_readable, chosen_of, u_shape

HOSTILE = (
    "",
    "x" * 100_000,
    "name \x00\x07\n\t with\r\x1b[31m control",
    "\u202eright to left \u05e2\u05d1\u05e8\u05d9\u05ea \u0645\u0631\u062d\u0628\u0627",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30,
    "a" + "\u0301" * 500,
    "\ud800 lone surrogate",
    "\ufdfa" * 400,
)


# Every shape of calibration.


@pytest.mark.parametrize("layers", [0, 3, 40])
@pytest.mark.parametrize("lookahead", [1, 3, 8])
@pytest.mark.parametrize("steps", [2, 3, 20, 50, 100])
def test_words_neither_overlap_nor_leave_the_picture(
    steps: int, lookahead: int, layers: int, written: Words
) -> None:
    lookahead = min(lookahead, steps - 1)
    picture = draw(*case_of(steps, lookahead, KINDS, layers), "A title")
    check_readable(written, picture)


@pytest.mark.parametrize("count", range(1, 9))
def test_every_kind_has_its_panel(count: int, written: Words) -> None:
    kinds = KINDS[-count:]
    draw(*case_of(12, 2, kinds), "")
    names = {series.in_words(kind, 1 if kind is SiteKind.DEEP_BRANCH else None) for kind in kinds}
    assert names <= set(written.words)
    assert written.overlaps() == []


def test_more_parts_than_panels_are_counted(written: Words) -> None:
    rows = {Place(SiteKind.DEEP_BRANCH, i): u_shape(10, 2) for i in range(12)}
    rows[Place(SELF)] = u_shape(10, 2)
    calibration = calibration_of(rows, 10, 2)
    draw(calibration, chosen_of(calibration, (SELF, None, (True,) * 9 + (False,))), "")
    shown = [word for word in written.words if word.startswith("deep branch")]
    assert shown == [f"deep branch {i}" for i in (0, 2, 4, 6, 7, 9, 11)]
    assert "5 more parts not shown" in " ".join(written.words)


def test_more_distances_than_lines_are_spread() -> None:
    calibration, chosen = case_of(30, 16, [SELF])
    (part,), _ = series.parts_of(calibration, chosen.rows)
    assert len(part.distances) == 8
    assert (part.distances[0], part.distances[-1]) == (1, 16)
    draw(calibration, chosen, "")


def test_the_same_twice() -> None:
    case = case_of(20, 3, KINDS)
    assert draw(*case, "one").tobytes() == draw(*case, "one").tobytes()
    assert draw(*case, "one").tobytes() != draw(*case, "two").tobytes()


# Words.


def test_the_header_says_what_the_run_was(written: Words) -> None:
    calibration, chosen = case_of(20, 3, [SELF])
    prediction = replace(chosen.prediction, speedup=1.52, flop_bound=1.6, error=0.021)
    chosen = replace(chosen, prediction=prediction, notes=("a remark",))
    draw(replace(calibration, is_whole=False), chosen, "Title", {"speedup": "1.47×"})
    text = "\n".join(written.words)
    assert (
        "UNet (UNetModel) · euler · simple · 20 steps · cfg 7.5 · latent 4 x 64 x 64 · 8 samples"
        in text
    )
    assert "1.52x faster (1.60x by FLOPs), 2.1 % error per step" in text
    assert "threshold 15 %, reuses" in text
    assert "speedup 1.47x" in text
    assert "a remark" in text
    assert "interrupted" in text


def test_without_costs_no_speed_is_claimed(written: Words) -> None:
    calibration, chosen = case_of(20, 3, [SELF])
    draw(replace(calibration, costs=Costs()), chosen, "")
    assert any(words.startswith("speed not known") for words in written.words)
    assert not any("faster" in words for words in written.words)


def test_a_strip_says_how_much_is_computed(written: Words) -> None:
    compute = tuple(step % 5 < 3 for step in range(30))
    calibration = calibration_of({Place(SELF): u_shape(30, 3)}, 30, 3)
    draw(calibration, chosen_of(calibration, (SELF, None, compute)), "")
    assert "18 of 30 computed" in written.words
    assert "threshold 10 %, reuses at most 2 steps in a row" in written.words
    for step in range(0, 30, 5):
        assert written.words.count(f"{step}") == 2, "below the panel and below the strip"


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_words_like_others(name: str, written: Words) -> None:
    calibration, chosen = case_of(10, 2, [SELF])
    model = replace(calibration.model, family=name, network=name)
    run = replace(calibration.run, sampler=name, scheduler=name, latent=(10**30,) * 50)
    calibration = replace(calibration, model=model, run=run)
    notes = (name, name, name, name, name, name)
    picture = draw(calibration, replace(chosen, notes=notes), name, {name: name})
    assert written.overlaps() == []
    assert max(box[2] for box in written.boxes) <= 1024
    assert picture.height < 1500
    assert all(set(words) <= {*map(chr, range(32, 127)), *"·°±…"} for words in written.words)


def test_letters_lose_accents_and_keep_their_place() -> None:
    assert fonts.shown("Élan × 1.5 — “naïve” \u202e\x00σ") == 'Elan x 1.5 - "naive" sigma'
    assert fonts.shown("日本") == "??"


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.15, "15 %"), (0.1234, "12.3 %"), (0.0, "0 %"), (2.13, "213 %"), (12.345, "1234 %"),
     (math.inf, "unknown"), (math.nan, "unknown"), (0.00012, "0.012 %")],
)  # fmt: skip
def test_percent(share: float, words: str) -> None:
    assert fonts.percent(share) == words


@pytest.mark.parametrize("width", [20, 90, 300])
def test_fitted_and_wrapped_words_are_no_wider(width: int) -> None:
    font = fonts.Fonts(canvas.SCALE)
    words = "some words and onethatisverymuchlongerthanalltheothersare and more of them " * 3
    assert font.width_of(font.fitted(words, 15, width), 15) <= width
    lines = font.wrapped(words, 15, width, 4)
    assert len(lines) == 4
    assert max(font.width_of(line, 15) for line in lines) <= width
    assert lines[-1].endswith("…")
    assert font.wrapped("short", 15, 300, 4) == ["short"]
    assert font.wrapped("", 15, 300, 4) == []


def test_an_old_pillow_draws_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bitmap = ImageFont.load_default_imagefont()

    def load_default() -> ImageFont.ImageFont:
        return bitmap

    monkeypatch.setattr(ImageFont, "load_default", load_default)
    case = case_of(20, 3, KINDS)
    one, other = draw(*case, "A title …"), draw(*case, "")
    title = np.asarray(one)[20:54, 20:400]
    assert (title < 100).sum() > 500, "there are letters"
    assert one.tobytes() != other.tobytes()


# The way into ComfyUI.


def test_an_image_as_comfyui_wants_it() -> None:
    picture = draw(*case_of(20, 3, [SELF]), "Title")
    image = to_image(picture)
    assert image.shape == (1, picture.height, 1024, 3)
    assert image.dtype == torch.float32
    assert (image.min() >= 0) and (image.max() == 1)
    assert torch.equal((image[0] * 255).round().byte(), torch.tensor(np.asarray(picture)))
