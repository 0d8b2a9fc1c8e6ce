"""Doubles of packs that sample a part of the latents at a time, each in the way it calls the host.

Their parts do not depend on each other: where a network's do not either, they change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from .companion import Companion, empty

FRAMES, LENGTH = 6, 3
Places = Callable[[int], list[int]]
"""Where the parts begin in a step."""


def still(step: int) -> list[int]:
    return [0, LENGTH]


def moving(step: int) -> list[int]:
    return [2 * step, 2 * step + LENGTH]


def _slowly(step: int) -> list[int]:
    return moving(step // 2)


def _step_of(options: dict[str, Any], t: torch.Tensor) -> int:
    """The step of a noise level."""
    return int((options["sample_sigmas"] - t[0]).abs().argmin())


def windows(places: Places, announces: bool) -> Callable[[Any], Any]:
    """Windows over frames, as AnimateDiff-Evolved makes them: inside CALC_COND_BATCH, by index.

    Args:
        places: where they begin.
        announces: whether they stand in the options, under that pack's key.
    """

    def patch(model: Any) -> Any:
        clone = model.clone()
        if announces:
            clone.model_options["transformer_options"]["ad_params"] = {"sub_idxs": None}

        def sample(executor: Any, asked: Any, conds: Any, x: Any, t: Any, options: Any) -> Any:
            told = options["transformer_options"]
            outs = [torch.zeros_like(x) for _ in conds]
            for first in places(_step_of(told, t)):
                index = [(first + i) % len(x) for i in range(LENGTH)]
                if announces:
                    told["ad_params"]["sub_idxs"] = index
                answers = executor(asked, conds, x[index], t[index], options)
                for out, answer in zip(outs, answers, strict=True):
                    out[index] = answer
            return outs

        clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "windows", sample)
        return clone

    return patch


class MultiDiffusion:
    """Tiles as the pack of that class name cuts them: always the same, copied, tile by tile.

    Args:
        together: how many tiles share a call.
    """

    def __init__(self, together: int) -> None:
        self._together = together

    def __call__(self, apply: Any, given: dict[str, Any]) -> torch.Tensor:
        x, t, c = given["input"], given["timestep"], given["c"]
        offset = self.offset(_step_of(c["transformer_options"], t))
        x = x.roll(-offset, -2)
        tiles = list(x.chunk(2, dim=-2))
        done: list[torch.Tensor] = []
        for first in range(0, len(tiles), self._together):
            some = tiles[first : first + self._together]
            rows = {
                name: torch.cat([value] * len(some))
                if isinstance(value, torch.Tensor) and value.shape[0] == x.shape[0]
                else value
                for name, value in c.items()
            }
            answer = apply(torch.cat(some), torch.cat([t] * len(some)), **rows)
            done += answer.chunk(len(some))
        return torch.cat(done, dim=-2).roll(offset, -2)

    def offset(self, step: int) -> int:
        """How far the tiles have moved in a step."""
        return 0


class SpotDiffusion(MultiDiffusion):
    """The same with tiles that move from step to step."""

    def offset(self, step: int) -> int:
        return 3 * step


class Unknown(MultiDiffusion):
    """The same by somebody whom nobody knows."""


def tiles(wrapper: MultiDiffusion) -> Callable[[Any], Any]:
    def patch(model: Any) -> Any:
        clone = model.clone()
        clone.set_model_unet_function_wrapper(wrapper)
        return clone

    return patch


def tiles_around_the_model(model: Any) -> Any:
    """Moving tiles by a wrapper of APPLY_MODEL, in front of ours or behind."""
    clone = model.clone()
    cut = SpotDiffusion(1)

    def sample(executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        # The host calls with positions, and the cutter with names.
        names = ("c_concat", "c_crossattn", "control", "transformer_options")
        c = {**dict(zip(names, args, strict=False)), **kwargs}

        def apply(some: Any, when: Any, **named: Any) -> Any:
            rest = [named.pop(name) for name in names]
            return executor(some, when, *rest, **named)

        return cut(apply, {"input": x, "timestep": t, "c": c})

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "tiles", sample)
    return clone


def clip(name: str) -> dict[str, Any]:
    return {"latent": empty(name).repeat(FRAMES, 1, 1, 1)}


PARTS = [
    Companion(
        "announced windows", ("sd15",),
        ("DeepCache", "FasterCache attention", "FasterCache guidance", "TGate", "SmoothCache"),
        windows(still, announces=True), options=clip,
    ),
    Companion(
        "announced windows that move", ("sd15",),
        ("DeepCache", "FasterCache guidance", "TGate", "SmoothCache"),
        windows(_slowly, announces=True), options=clip, steps=6, has_forced=True,
    ),
    Companion(
        "tiles in calls of their own", ("sd15",), ("FasterCache", "TGate", "DeepCache"),
        tiles(MultiDiffusion(1)),
    ),
    Companion(
        "tiles in one call", ("sd15",), ("FasterCache", "TGate", "DeepCache", "PAB blocks"),
        tiles(MultiDiffusion(2)),
    ),
]  # fmt: skip
