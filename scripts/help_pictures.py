"""Draws web/docs/pictures/*.jpg, one for each method's page: `python scripts/help_pictures.py`.

The same captions and noise, plain and with three settings from careful to bold. Models, precision,
captions and noise are those of the first batch that the benchmark `quality` or `forecast` scores;
the speeds are what it measured. Needs the environment of `python scripts/test.py`, some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import booted_on_device
from paths import ROOT

# Boots the host and loads the pack, which the imports below rest on.
import numpy as np
import torch
from help_results import (
    MODELS,
    SETTINGS,
    SPEEDS,
    STEP_CACHE,
    Setting,
    evaluations,
    forecast_row,
    read,
    row_of,
    speed,
)
from help_sheet import Column, draw
from numpy.typing import NDArray
from PIL import Image
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import Method, StepCache

from benchmarks import quality_calibrated as calibrated
from benchmarks.quality_runs import STEPS, Subject, eight_bit
from benchmarks.quality_settings import SETTINGS as SCORED
from demo.shapes import scenes

FOLDER = ROOT / "web" / "docs" / "pictures"
CAPTIONS = 25
THREADS = 1
"""As those of the results."""
JPEG_QUALITY = 85
MAX_BYTES = 60 * 1024


def _shown(setting: Setting) -> str:
    """Which model a page shows: the DiT, unless its method is for UNets alone."""
    results = read(setting.source)
    return next(m for m in MODELS if row_of(results, m, setting.method, setting.labels))


MODEL = {
    **dict.fromkeys(SPEEDS, next(iter(MODELS))),
    **{node: _shown(first) for node, (first, *_) in SETTINGS.items()},
}
SMOOTHCACHE = ("FORA: every 2nd step", "FORA: every 3rd step", "whole blocks: every 3rd step")
"""Of the settings on its page, those that need no calibration."""


def shown_places(texts: Sequence[str]) -> list[int]:
    """Which captions are shown: the first of each ground."""
    grounds = [scenes.parse(text).ground for text in texts]
    return sorted(grounds.index(ground) for ground in set(grounds))


def methods(node: str, subject: Subject) -> Iterator[tuple[str, str, Method]]:
    """Heading, what was measured, and method of each setting on a page."""
    if node in SPEEDS:
        word = "speed" if node == STEP_CACHE else "speedup"
        for each in SPEEDS[node]:
            row = forecast_row(subject.name, each)
            yield f"{word} {each:g}", evaluations(row), StepCache(speed=each)
        return
    for setting in SETTINGS[node]:
        if node == "StepCacheSmoothCache" and setting.name not in SMOOTHCACHE:
            continue
        row = row_of(read(setting.source), subject.name, setting.method, setting.labels)
        assert row is not None, setting
        yield setting.name, speed(row), _made(subject.name, setting, subject.options.steps)


def _made(model: str, setting: Setting, steps: int) -> Method:
    (label,) = setting.labels
    if setting.source == "calibration":
        return calibrated.UNCALIBRATED[model][setting.method, label](steps)
    place = (model, setting.method, label)
    return next(one.make() for one in SCORED if (one.model, one.name, one.label) == place)


def write(node: str, picture: Image.Image) -> None:
    """Save a page's picture.

    Raises:
        SystemExit: the file is too large for a help page.
    """
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{node}.jpg"
    # Full colour resolution: edges of red on blue are what the pictures are about.
    picture.save(path, quality=JPEG_QUALITY, subsampling=0, optimize=True)
    size = path.stat().st_size
    print(f"wrote {path.relative_to(ROOT)}: {picture.width} x {picture.height}, {size} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{path.name} has {size} bytes; expected {MAX_BYTES} at most")


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    nodes: list[str]
    count: int
    steps: int


def main() -> None:
    """Draw every page's picture, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", nargs="*", default=list(MODEL), help="node ids")
    parser.add_argument("--count", type=int, default=CAPTIONS, help="captions sampled at once")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    arguments = Options(**vars(parser.parse_args()))
    torch.set_num_threads(THREADS)
    texts = scenes.held_out_captions(arguments.count)
    places = shown_places(texts)

    for drawn_by in dict.fromkeys(map(_drawn_by, arguments.nodes)):
        work = ROOT / "output" / "help"
        subject = Subject(*drawn_by, work, arguments.count, arguments.steps)
        plain = Column("plain", "", _drawn(subject, subject.model, texts, places))
        for node in (node for node in arguments.nodes if _drawn_by(node) == drawn_by):
            cached = [
                Column(heading, gained, _drawn(subject, attach(subject.model, one), texts, places))
                for heading, gained, one in methods(node, subject)
            ]
            write(node, draw([texts[place] for place in places], [plain, *cached]))


def _drawn_by(node: str) -> tuple[str, str]:
    """Model and precision, as what the page shows was measured."""
    return MODEL[node], "float32" if node in SPEEDS else "bfloat16"


def _drawn(
    subject: Subject, model: Any, texts: list[str], places: Sequence[int]
) -> list[NDArray[np.uint8]]:
    """Some pictures of a batch: drawn alone they would begin with other noise."""
    pictures = eight_bit(subject.draw(model, texts, 0)[0])
    return [pictures[place] for place in places]


if __name__ == "__main__":
    main()
