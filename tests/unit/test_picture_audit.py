"""The picture of an audit: complete, readable, and told apart by everyone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from stepcache.pictures import canvas, draw_audit
from stepcache.pictures.audit import COLOURS, MODEL

from pictures import Words, check_readable, contrast, distance

PARTS = {"model": 0.5, "Python overhead": 0.25, "transfer": 0.05, "sampler": 0.2}
BARS = {"Blocks": {"double_blocks (19)": 0.7, "single_blocks (38)": 0.2}, "Nothing": {}}


@pytest.mark.parametrize("advised", [["Nothing to recommend."], ["1. Do this, it helps. " * 9] * 5])
@pytest.mark.parametrize("parts", [PARTS, {"model": 1.0, "sampler": 0.0}])
def test_words_neither_overlap_nor_leave_the_picture(
    advised: list[str], parts: dict[str, float], written: Words
) -> None:
    notes = ["would wait 3x: custom_nodes/some/where/nodes.py:12 reads a number " * 3] * 8
    picture = draw_audit("A model on a device", advised, parts, BARS, notes)
    check_readable(written, picture)
    assert picture.width == 1024
    assert {"Blocks", "double blocks (19)", "70 %"} <= set(written.words)
    assert "Nothing" not in written.words, "what is empty has no title"


def test_the_bar_of_all_parts_is_as_wide_as_their_shares() -> None:
    pixels = np.asarray(draw_audit("", ["Nothing."], PARTS, {}, []))
    widths = [int((pixels == colour).all(-1).sum(1).max()) for colour in COLOURS]
    for width, share in zip(widths, PARTS.values(), strict=True):
        assert abs(width - share * (1024 - 56)) <= 2 + 14, "the mark in the legend is 14 wide"


def test_parts_are_told_apart_by_everyone() -> None:
    assert COLOURS[0] == MODEL
    for one, other in combinations(COLOURS, 2):
        assert distance(one, other) >= 30, (one, other)
    assert all(contrast(colour, canvas.PAPER) >= 3 for colour in COLOURS)
