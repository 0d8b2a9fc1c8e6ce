"""Words as the font that comes with Pillow can show them, and how much room they take."""

from __future__ import annotations

import math
import unicodedata

from PIL import Image, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MOST = 2000
"""Characters of a name that are looked at at all."""
EXTRA = frozenset("·°±")
INSTEAD = {
    "×": "x", "÷": "/", "–": "-", "—": "-", "\N{MINUS SIGN}": "-", "’": "'", "‘": "'", "“": '"',
    "”": '"', "ß": "ss", "\N{LESS-THAN OR EQUAL TO}": "<=", "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{RIGHTWARDS ARROW}": "->", "\N{ALMOST EQUAL TO}": "~", "\N{INFINITY}": "infinite",
    "\N{GREEK SMALL LETTER ALPHA}": "alpha", "\N{GREEK SMALL LETTER SIGMA}": "sigma",
}  # fmt: skip
"""Signs that the font lacks."""
OLD_HEIGHT = 11
"""Pixels of the only font of a Pillow without FreeType or before 10.1."""


def shown(words: str) -> str:
    """Words without what cannot be drawn: a letter loses its accent, a sign becomes "?"."""
    found: list[str] = []
    for sign in words[:MOST]:
        for part in INSTEAD.get(sign) or unicodedata.normalize("NFKD", sign):
            category = unicodedata.category(part)
            if part in EXTRA or (part.isascii() and part.isprintable()):
                found.append(part)
            elif category[0] == "Z" or category == "Cc":
                found.append(" ")
            elif category[0] not in "MC" or category in ("Cs", "Co"):
                found.append("?")
    return " ".join("".join(found).split())


def percent(share: float) -> str:
    """A share in percent, to three digits."""
    if not math.isfinite(share):
        return "unknown"
    value = 100 * share
    if 1000 <= abs(value) < 100_000:
        return f"{value:.0f} %"
    return f"{float(f'{value:.3g}'):g} %"


class Fonts:
    """The font in the sizes that were asked for.

    Args:
        scale: how much larger than in the finished picture everything is drawn.
    """

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._fonts: dict[int, Font] = {}

    def font(self, size: int) -> Font:
        """The font, a size in pixels of the finished picture."""
        if size not in self._fonts:
            try:
                self._fonts[size] = ImageFont.load_default(size * self._scale)
            except (TypeError, ImportError, OSError):
                self._fonts[size] = ImageFont.load_default()
        return self._fonts[size]

    def width_of(self, words: str, size: int) -> float:
        """How wide words will be, in pixels of the finished picture."""
        font = self.font(size)
        if isinstance(font, ImageFont.FreeTypeFont):
            return font.getlength(words) / self._scale
        return font.getbbox(old(words))[2] * size / OLD_HEIGHT

    def fitted(self, words: str, size: int, width: float) -> str:
        """Words cut with an ellipsis so that they are no wider than `width`."""
        words = shown(words)
        if self.width_of(words, size) <= width:
            return words
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            is_narrow = self.width_of(f"{words[:middle].rstrip()}…", size) <= width
            low, high = (middle, high) if is_narrow else (low, middle - 1)
        return f"{words[:low].rstrip()}…"

    def wrapped(self, words: str, size: int, width: float, most: int) -> list[str]:
        """Words in at most so many lines; what is left over is cut with an ellipsis."""
        lines: list[str] = []
        rest = shown(words).split()
        while rest and len(lines) < most - 1:
            count = 1
            while count < len(rest) and self.width_of(" ".join(rest[: count + 1]), size) <= width:
                count += 1
            lines.append(self.fitted(" ".join(rest[:count]), size, width))
            rest = rest[count:]
        return [*lines, self.fitted(" ".join(rest), size, width)] if rest else lines


def old(words: str) -> bytes:
    """Words for the font of an old Pillow, which has Latin letters only."""
    return words.replace("…", "...").encode("latin-1", "replace")


def old_mask(font: ImageFont.ImageFont, words: str, size: int) -> Image.Image:
    """Words in the font of an old Pillow, made as large as they should be."""
    left, top, right, bottom = font.getbbox(old(words))
    mask = Image.new("L", (max(int(right - left), 1), max(int(bottom - top), 1)))
    mask.im.paste(font.getmask(old(words), "L"), (0, 0, *mask.size))
    factor = size / OLD_HEIGHT
    return mask.resize((max(round(mask.width * factor), 1), max(round(mask.height * factor), 1)))
