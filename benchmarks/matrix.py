"""Which cells there are: model x size x batch x what is attached. Data; needs Python alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

VAE_SIDE, VAE_FRAMES = 8, 4
"""Pixels along a side, and frames after the first, that one latent pixel stands for."""


class Size(NamedTuple):
    """Of a picture or video, in pixels and frames; models of videos have pictures of 1 frame."""

    width: int
    height: int
    frames: int | None = None

    @property
    def latent(self) -> tuple[int, ...]:
        """The axes of a latent behind its channels."""
        sides = (self.height // VAE_SIDE, self.width // VAE_SIDE)
        return sides if self.frames is None else ((self.frames - 1) // VAE_FRAMES + 1, *sides)

    def __str__(self) -> str:
        frames = f" × {self.frames} frames" if self.frames not in (None, 1) else ""
        return f"{self.width} × {self.height}{frames}"


@dataclass(frozen=True)
class Setting:
    """One row of a setting, and its place in recipes.

    Args:
        kind: the class in `torch_settings`.
        arguments: of that class, as its node has them by default unless the name says otherwise.
        in_recipes: whether it stands before or behind the cache in recipes, or in none.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    in_recipes: Literal["before", "behind"] | None = None


SETTINGS: dict[str, Setting] = {
    "Attention Backend": Setting("AttentionBackend", {"backend": "auto"}, "before"),
    "Precision": Setting("Precision", {"products": "TF32"}, "before"),
    "Precision, bfloat16": Setting("Precision", {"products": "bfloat16"}),
    "Fused Projections": Setting("FusedProjections"),
    "Regional Compile": Setting("RegionalCompile", {"dynamic": "auto"}, "behind"),
    "Dynamic Int8, from 128 wide": Setting("DynamicInt8", {"least_width": 128}),
}
"""By the name of the row: one line a setting."""


@dataclass(frozen=True)
class Every:
    """All methods that act inside the network, but for some."""

    but: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        # Here, because a table of results needs Python alone.
        from .methods import INSIDE

        return (title for title in INSIDE if title not in self.but)


ON_UNETS = Every()
ON_TRANSFORMERS = Every(but=("DeepCache",))


@dataclass(frozen=True)
class Model:
    """A network, and what is tried on it.

    Args:
        title: for people.
        make: a function in models.py.
        points: sizes, and how many pictures at once.
        steps: of the sampler.
        methods: alone, at their nodes' defaults; names in parts.py.
        recipe: the caches of its recipe.
        arguments: of `make`.
    """

    title: str
    make: str
    points: tuple[tuple[Size, int], ...]
    steps: int
    methods: Iterable[str]
    recipe: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


REFERENCE: dict[str, Model] = {
    "shapes_dit": Model(
        "the demo's DiT", "trained", ((Size(128, 128, 1), 1), (Size(128, 128, 1), 4),
        (Size(192, 192, 1), 1)), 20, ON_TRANSFORMERS, ("SmoothCache",), {"name": "shapes_dit"},
    ),
    "shapes_unet": Model(
        "the demo's UNet", "trained", ((Size(256, 256), 1), (Size(256, 256), 4),
        (Size(384, 384), 1)), 20, ON_UNETS, ("DeepCache",), {"name": "shapes_unet"},
    ),
    "sdxl_small": Model(
        "SDXL's layout at a fifth of its width", "sdxl_small", ((Size(192, 192), 1),), 8,
        ("DeepCache",), ("DeepCache",),
    ),
    "flux_small": Model(
        "Flux's layout at a sixth of its width, 3 + 6 blocks", "flux_small",
        ((Size(256, 256), 1),), 8, ("PAB, whole blocks",), ("PAB, whole blocks",),
    ),
    "wan_small": Model(
        "Wan's layout at a third of its width, 4 blocks", "wan_small", ((Size(256, 256, 1), 1),),
        12, ("FasterCache", "PAB"), ("FasterCache, guidance", "PAB"),
    ),
}  # fmt: skip
"""What two cores can do in about twenty minutes."""

FULL: dict[str, Model] = {
    "sd15": Model(
        "SD1.5", "sd15", ((Size(512, 512), 1), (Size(512, 512), 4), (Size(768, 768), 1)), 20,
        ON_UNETS, ("DeepCache",), {"half": True},
    ),
    "sdxl": Model(
        "SDXL base", "sdxl", ((Size(1024, 1024), 1), (Size(1024, 1024), 4), (Size(1536, 1024), 1)),
        20, ON_UNETS, ("DeepCache",),
    ),
    "flux": Model(
        "Flux.1 dev", "flux", ((Size(1024, 1024), 1), (Size(1024, 1024), 2),
        (Size(1536, 1024), 1)), 20, ("PAB", "PAB, whole blocks", "SmoothCache"),
        ("PAB, whole blocks",),
    ),
    "wan_14b": Model(
        "Wan 2.1 14B", "wan_14b", ((Size(832, 480, 33), 1), (Size(832, 480, 81), 1)), 12,
        ON_TRANSFORMERS, ("FasterCache, guidance", "PAB"),
    ),
}  # fmt: skip
"""Published models at the sizes that people use; for a CUDA device."""

MATRICES: dict[str, dict[str, Model]] = {"reference": REFERENCE, "full": FULL}


@dataclass(frozen=True)
class Cell:
    """What is measured at once: a plain model beside one with parts attached.

    Args:
        name: of the model.
        parts: names of settings and methods, in the order in which they are attached.
    """

    name: str
    model: Model
    size: Size
    batch: int
    parts: tuple[str, ...]

    @property
    def row(self) -> str:
        """What is attached."""
        return " + ".join(self.parts)

    @property
    def key(self) -> str:
        """Names the cell in files and on the screen."""
        return f"{self.name}, {self.size}, batch {self.batch}: {self.row}"


def stack(recipe: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The parts of a recipe, one more each time."""
    parts: tuple[str, ...] = ()
    before, behind = (
        [(name,) for name, setting in SETTINGS.items() if setting.in_recipes == place]
        for place in ("before", "behind")
    )
    for more in (*before, recipe, *behind):
        parts += more
        yield parts


def rows(model: Model) -> list[tuple[str, ...]]:
    """What is attached to a model: each method, each setting, and its recipe part by part."""
    alone = [(name,) for name in (*model.methods, *SETTINGS)]
    return list(dict.fromkeys([*alone, *stack(model.recipe)]))


def cells(name: str) -> list[Cell]:
    """The cells of a matrix, model by model.

    Args:
        name: one of `MATRICES`.
    """
    return [
        Cell(key, model, size, batch, parts)
        for key, model in MATRICES[name].items()
        for size, batch in model.points
        for parts in rows(model)
    ]
