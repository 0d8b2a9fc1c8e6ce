"""Every workflow has a picture, and those that are drawn show its settings of today."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import shipped
import workflow_thumbnails
from PIL import Image

MAX_BYTES = 30 * 1024
"""The template browser loads all of them at once."""
DRAWN = workflow_thumbnails.drawn_names()
LOSS = 1.0
"""Mean difference of 255 between two encoders' JPEGs of one picture; of two pictures it is more."""


def pixels(file: BinaryIO | Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float32)


def saved(name: str) -> np.ndarray:
    return pixels(shipped.FOLDER / f"{name}.jpg")


def drawn(card: workflow_thumbnails.Card) -> np.ndarray:
    return pixels(io.BytesIO(workflow_thumbnails.encoded(workflow_thumbnails.draw(card))))


@pytest.mark.parametrize("name", shipped.NAMES)
def test_a_workflow_has_a_small_square_picture(name: str) -> None:
    path = shipped.FOLDER / f"{name}.jpg"
    assert path.stat().st_size <= MAX_BYTES
    height, width, _ = saved(name).shape
    assert height == width >= 256


def test_no_picture_is_left_of_a_workflow_that_is_gone() -> None:
    assert sorted(path.stem for path in shipped.FOLDER.glob("*.jpg")) == shipped.NAMES


def test_every_model_of_others_has_a_drawn_picture() -> None:
    assert set(shipped.MODELS) <= set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_picture_is_of_these_settings(name: str) -> None:
    difference = drawn(workflow_thumbnails.card_of(name)) - saved(name)
    assert np.abs(difference).mean() < LOSS, "run scripts/workflow_thumbnails.py"


def test_a_step_more_would_be_seen() -> None:
    card = workflow_thumbnails.card_of("sd15_deepcache")
    ((kind, strip),) = card.strips.items()
    turned = replace(card, strips={kind: strip[1:] + strip[0]})
    assert np.abs(drawn(turned) - saved("sd15_deepcache")).mean() > LOSS
