"""Which part of the latents a call holds, as far as that is known without looking into them.

Others sample a part at a time: the host's context windows and areas, and other nodes' windows and
tiles. A part is known where it was announced, or where the host cut it. The order in which parts
are asked for says nothing, as the usual windows move from step to step.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ..not_copied import NotPickled

PASS_KEY = "stepcache_pass"
"""Under this key the pass that is under way stands in ``transformer_options``."""

PASS = "a pass over the conditionings"
"""What is asked where it cannot be told what it is about, for the note about it."""

UNKNOWN_PART = (
    "another node samples parts of the latents (tiles, windows), and it is not known which"
)

KEEP_ORDER = frozenset({"MultiDiffusion", "MixtureOfDiffusers"})
"""Wrappers of the model's call, by class, that ask for the same tiles in the same order at every
step, and put the rows of a call together tile by tile.

Source: shiimizu/ComfyUI-TiledDiffusion, ``tiled_diffusion.py``; its SpotDiffusion moves tiles."""

Options = Mapping[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """An announced part along one axis.

    Args:
        frames: indices into the whole.
        axis: along which they lie.
    """

    frames: tuple[int, ...]
    axis: int

    def cut(self, whole: Shape) -> Shape:
        """Shape of the window."""
        return (*whole[: self.axis], len(self.frames), *whole[self.axis + 1 :])


def window_of(options: Options) -> Window | None:
    """The window that the host or AnimateDiff-Evolved announces in ``transformer_options``."""
    window = options.get("context_window")
    if window is not None:
        # Where a network is causal, the host puts the frame before the window in front of it.
        anchor = getattr(window, "causal_anchor_index", None)
        first = () if anchor is None or anchor < 0 else (anchor,)
        return Window((*first, *window.index_list), getattr(window, "dim", 0))
    # What that pack lets others read; it announces nothing while it samples without windows.
    frames = options.get("ad_params", {}).get("sub_idxs")
    return Window(tuple(frames), 0) if frames is not None else None


def signature_of(options: Options) -> Hashable:
    """What tells a pass from others over the same prompts: what it patches, and what it is told.

    Guiders tell the network by an option of their own that it is asked to leave something out. What
    is counted or measured may change at every step, so that only names and yes or no are looked at.
    """
    tables: Mapping[str, Any] = options.get("patches_replace", {})
    replaced = frozenset([(name, key) for name, table in tables.items() for key in table])
    told = frozenset([(k, v if isinstance(v, bool) else None) for k, v in options.items()])
    return replaced, told


@dataclass(frozen=True, slots=True)
class Pass(NotPickled):
    """One pass over conditionings.

    Args:
        latent: shape of the latents from which the host cuts; None where they are a part that
            nobody tells of.
        window: the announced part that they are, None where they are whole.
        branches: how many lists of conditionings it is about, 0 where the host was not asked.
        model: identity of the model that it asks; its copies on other devices are the same.
        areas: shapes of the parts for entries with an area, by uuid.
        keeps_order: whether tiles of a part are asked for in one order, row by row alike.
    """

    latent: Shape | None
    window: Window | None = None
    branches: int = 0
    model: Hashable = None
    areas: Mapping[Hashable, Shape] = field(default_factory=dict[Hashable, Shape])
    keeps_order: bool = False

    @classmethod
    def of(
        cls, model: Any, conds: Sequence[Any], shape: Shape, model_options: Options, whole: Shape
    ) -> Pass:
        """What the host is asked for.

        Args:
            model: the host's model.
            conds: lists of conditioning entries, None for one that is left out.
            shape: of the latents that they are asked about.
            model_options: the host's.
            whole: shape of the run's latents.
        """
        window = window_of(model_options["transformer_options"])
        if window is not None and window.axis == 0 and shape[0] != len(window.frames):
            window = None  # of the pass before
        expected = whole if window is None else window.cut(whole)
        is_known = _holds(shape, expected, but=None if window is None else window.axis)
        entries = chain.from_iterable(filter(None, conds))
        areas = {e.get("uuid"): _cut(shape, e["area"]) for e in entries if e.get("area")}
        tiler = type(model_options.get("model_function_wrapper")).__name__
        latent = shape if is_known else None
        return cls(latent, window, len(conds), id(model), areas, tiler in KEEP_ORDER)

    def tiles(self, shape: Shape, uuids: Sequence[Hashable], window: Window | None) -> int:
        """How many parts of each entry a call holds, one after the other; 0 where that is unknown.

        Args:
            shape: of the call's latents, the rows of all entries together.
            uuids: of the entries.
            window: what is announced in the call.
        """
        if self.latent is None:
            return 0
        rows = shape[0] / len(uuids)
        expected = [self.areas.get(uuid, self.latent) for uuid in uuids]
        if window is not None and self.window is None:
            # Announced behind us.
            expected = [window.cut(each) for each in expected]
        if all(_holds((rows, *shape[1:]), each) for each in expected):
            return 1
        return int(rows // expected[0][0]) if self._is_tiled(rows, expected) else 0

    def _is_tiled(self, rows: float, expected: Iterable[Shape]) -> bool:
        return self.keeps_order and all(rows % each[0] == 0 for each in expected)


@contextmanager
def announced(options: dict[str, Any], current: Pass) -> Generator[None]:
    """While this lasts, calls find the pass in their options."""
    # In place: what other nodes put there meanwhile has to last.
    before = options.get(PASS_KEY)
    options[PASS_KEY] = current
    try:
        yield
    finally:
        if before is None:
            options.pop(PASS_KEY, None)
        else:
            options[PASS_KEY] = before


def _holds(shape: Sequence[float], whole: Shape, but: int | None = None) -> bool:
    """Whether latents of a shape hold these as a whole: all rows, and no axis is shorter.

    Args:
        but: an axis that may be shorter: several kinds of latents in one row are cut on another.
    """
    return len(shape) == len(whole) and all(
        axis == but or (size == least if axis == 0 else size >= least)
        for axis, (size, least) in enumerate(zip(shape, whole, strict=True))
    )


def _cut(shape: Shape, area: Sequence[int]) -> Shape:
    """Shape of an area, as the host cuts it: sizes, then offsets, of the last axes or of all."""
    count, axes = len(area) // 2, len(shape) - 2
    sizes, offsets = area[:count][:axes], area[count:][:axes]
    first = len(shape) - len(sizes)
    cut = (
        min(shape[first + number] - offset, size)
        for number, (size, offset) in enumerate(zip(sizes, offsets, strict=True))
    )
    return (*shape[:first], *cut)
