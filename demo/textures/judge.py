"""The judge: reads pattern, colours and letter of each fabric back from a picture.

It knows only pixels, and lays every pattern in every phase and every letter over them. A fabric
that none of these explains almost pixel by pixel is refused with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .motifs import FABRIC, GRAIN, GRAIN_SHARE, REGULAR, Mask, letter, phases
from .render import RGB, SIDE
from .scenes import COLOURS, INKS, LETTERS, PLACES, Fabric, parse

Labels = NDArray[np.intp]

# In units of a full channel; two named colours are at least 0.65 apart in the dimmest light.
SURE = 0.36
MIN_CLEAR = 0.95
MIN_REGULAR = 0.93
# Of 3000 random grains the best of all phases agreed with 0.62 to 0.69 of the pixels; level lines
# agree with 0.91 of bricks, which is the most for two patterns.
MAX_RANDOM = 0.8
GRAIN_SHARES = (0.6 * GRAIN_SHARE, 1.4 * GRAIN_SHARE)
MAX_CORRELATION = 0.2
MIN_INK = 12
# Two different letters overlap by 0.60 at most.
MIN_OVERLAP = 0.75
# Below it, ink is taken for specks, not for a letter that went wrong.
HARDLY = 0.3
ATTRIBUTES = ("pattern", "colour", "ground", "letter", "ink")
NAMES = COLOURS + INKS
UNSURE = len(NAMES)


@dataclass(frozen=True)
class Reading:
    """What a fabric comes nearest to, and what keeps it from being that ("" for nothing)."""

    nearest: Fabric
    fault: str


@dataclass(frozen=True)
class Verdict:
    """What the judge saw, compared with a caption.

    Args:
        correct: whether it is all that the caption says, and nothing else.
        seen: each fabric.
        reason: in words.
    """

    correct: bool
    seen: tuple[Reading, ...]
    reason: str


@lru_cache
def _patterns() -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Every pattern in every phase (ways, pixels), and the name of each."""
    names = tuple(name for name in REGULAR for _ in phases(name))
    ways = np.concatenate([phases(name) for name in REGULAR])
    return ways.reshape(len(names), -1).astype(np.float32), names


@lru_cache
def _letters() -> NDArray[np.float32]:
    """Every letter of `LETTERS` (letters, pixels)."""
    masks = np.stack([letter(name) for name in LETTERS])
    return masks.reshape(len(LETTERS), -1).astype(np.float32)


def _labels(picture: NDArray[np.float32]) -> Labels:
    """The index in `NAMES` of each pixel's colour, UNSURE where none is near, (H, W)."""
    colours = np.asarray([RGB[name] for name in NAMES], dtype=np.float32)
    distances = np.sqrt(((picture[:, :, None] - colours) ** 2).sum(-1))
    return np.where(distances.min(-1) <= SURE, distances.argmin(-1), UNSURE)


def _read_letter(labels: Labels) -> tuple[str, str, Mask, str]:
    """Letter and ink, "" for none, the pixels that are the letter's, and the fault."""
    counts = {ink: int((labels == NAMES.index(ink)).sum()) for ink in INKS}
    ink = max(counts, key=counts.__getitem__)
    inked = labels == NAMES.index(ink)
    nothing = np.zeros_like(inked)
    if counts[ink] < MIN_INK:
        return "", "", nothing, ""
    masks = _letters()
    flat = inked.ravel().astype(np.float32)
    both = masks @ flat
    overlaps = both / (masks.sum(1) + flat.sum() - both)
    best = int(overlaps.argmax())
    fault = f"{ink} ink is no letter (nearest: {LETTERS[best]}, {overlaps[best]:.2f})"
    if overlaps[best] < HARDLY:
        return "", "", nothing, fault
    mask = masks[best].reshape(inked.shape) > 0
    return LETTERS[best], ink, mask, "" if overlaps[best] >= MIN_OVERLAP else fault


def _are_grains(pattern: Mask, free: Mask) -> bool:
    """Whether pixels of the pattern's colour have the right share and no order among neighbours."""
    share = float(pattern[free].mean())
    if not GRAIN_SHARES[0] <= share <= GRAIN_SHARES[1]:
        return False
    centred = np.where(free, pattern - share, 0.0)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        product = centred * np.roll(centred, (down, right), (0, 1))
        if abs(product.sum() / (centred**2).sum()) > MAX_CORRELATION:
            return False
    return True


def read_fabric(labels: Labels) -> Reading:
    """The fabric in labels (FABRIC, FABRIC)."""
    name, ink, inked, fault = _read_letter(labels)
    free = ~inked
    counts = np.bincount(labels[free], minlength=UNSURE + 1)[: len(COLOURS)]
    first, second = (int(index) for index in counts.argsort()[::-1][:2])
    clear = float((counts[first] + counts[second]) / free.sum())
    if clear < MIN_CLEAR:
        fault = fault or f"only {clear:.2f} of it has two clear colours"
    masks, names = _patterns()
    weight = free.ravel().astype(np.float32)
    is_first, is_second = ((labels == index).ravel() * weight for index in (first, second))
    found: list[tuple[float, str, int, int]] = []
    for colour, ground, on, off in (
        (first, second, is_first, is_second),
        (second, first, is_second, is_first),
    ):
        agreements = (masks @ (on - off) + off.sum()) / weight.sum()
        best = int(agreements.argmax())
        found.append((float(agreements[best]), names[best], colour, ground))
    agreement, pattern, colour, ground = max(found)
    if agreement <= MAX_RANDOM and _are_grains(labels == second, free):
        pattern, colour, ground = GRAIN, second, first
    elif agreement < MIN_REGULAR:
        fault = fault or f"no clear pattern (nearest: {pattern}, {agreement:.2f})"
    return Reading(Fabric(pattern, COLOURS[colour], COLOURS[ground], name, ink), fault)


def judge(picture: NDArray[np.floating], text: str) -> Verdict:
    """Whether a picture (64, 64, 3) in [0, 1] shows exactly what a caption says."""
    wanted = parse(text)
    picture = np.asarray(picture, dtype=np.float32)
    if picture.shape != (SIDE, SIDE, 3):
        raise ValueError(f"the judge reads pictures ({SIDE}, {SIDE}, 3), not {picture.shape}")
    labels = _labels(picture)
    seen: list[Reading] = []
    faults: list[str] = []
    for number, (place, fabric) in enumerate(zip(PLACES, wanted.fabrics, strict=True)):
        top, left = number // 2 * FABRIC, number % 2 * FABRIC
        found = read_fabric(labels[top : top + FABRIC, left : left + FABRIC])
        seen.append(found)
        if found.fault:
            faults.append(f"{place}: {found.fault}")
        elif found.nearest != fabric:
            faults.append(f"{place} shows {found.nearest.phrase()}")
    return Verdict(not faults, tuple(seen), "; ".join(faults) or "as the caption says")


def rates(texts: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Share of correct fabrics; and, under "attributes", of fabrics without a fault, and of those
    whose attribute is what they come nearest to."""
    right = dict.fromkeys(("readable", *ATTRIBUTES), 0)
    correct = count = 0
    for text, verdict in zip(texts, verdicts, strict=True):
        for wanted, seen in zip(parse(text).fabrics, verdict.seen, strict=True):
            count += 1
            correct += not seen.fault and seen.nearest == wanted
            right["readable"] += not seen.fault
            for name in ATTRIBUTES:
                right[name] += getattr(seen.nearest, name) == getattr(wanted, name)
    attributes = {name: round(value / count, 4) for name, value in right.items()}
    return {"fabrics": round(correct / count, 4), "attributes": attributes}
