"""One compiled module: when it has to run as it is, and what it reads of the host's options."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..cache_core.host.intercept.attention import OVERRIDE
from . import compiler
from .attention import attended_anew
from .weights import is_answered

Forward = Callable[..., Any]
Options = Mapping[str, Any]

OUTSIDE = frozenset({
    "double_block", "emb_patch", "forward_timestep_embed_patch", "input_block_patch",
    "input_block_patch_after_skip", "middle_block_after_patch", "noise_refiner",
    "output_block_patch", "post_input",
})  # fmt: skip
"""Patches that the host calls before, between and behind blocks."""

AROUND = "dit"
"""The table of replacements that stand around blocks; others stand in them."""

PLACE = ("block", "block_index")
"""Which block it is: read in blocks for the sake of patches alone, and another one every time."""

OURS = "stepcache"
"""How all keys of this pack begin, which no block reads."""

_asked: ContextVar[Options] = ContextVar("asked")
"""The options that the block which is running was really given. Not handed on among its arguments:
what PyTorch compiles keeps those for as long as it lives, and a whole run with them."""

ANSWERED = "another node answers for layers of them"
PATCHED = "another node's patches are called in them"
LISTENED = "something listened to their operators, as Precision does in the first evaluation"
QUANTIZED = "their weights are quantized"
LORA = "a LoRA is added to their weights whenever they are used"
DIVIDED = (
    "their attention divides its work by the memory that is free; start ComfyUI with "
    "--use-pytorch-cross-attention"
)
MOVED = "their weights are moved whenever they are used"


@dataclass(frozen=True, slots=True)
class Region:
    """A module that is compiled by itself.

    Args:
        kind: the name of its class.
        inside: every module in it, where others may stand in.
        writes: whether it may write into what it is given.
    """

    module: nn.Module
    kind: str
    inside: tuple[nn.Module, ...]
    writes: bool


def is_patched(options: Options) -> bool:
    """Whether other nodes' patches are called inside of blocks."""
    patches, replaced = options.get("patches", {}), options.get("patches_replace", {})
    return any(patches[name] for name in patches.keys() - OUTSIDE) or any(
        table for name, table in replaced.items() if name != AROUND
    )


def options_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Options | None:
    """The host's options among the arguments of a module."""
    found = (v for v in (*args, *kwargs.values()) if isinstance(v, dict) and "cond_or_uncond" in v)
    return next(found, None)


def unchanging(options: Options) -> dict[str, Any]:
    """What a block reads of its options, without what differs from block to block.

    What it reads besides is guarded by PyTorch: another value there is compiled anew.
    """
    left_out = (*PLACE, "patches", "patches_replace", OVERRIDE)
    kept = {
        name: value
        for name, value in options.items()
        if name not in left_out and not name.startswith(OURS)
    }
    if OVERRIDE in options:
        # May be another one in every call, and has to see which block it is in.
        return {**kept, OVERRIDE: compiler.untraced(_attended)}
    return {**kept, OVERRIDE: attended_anew}


@contextmanager
def asked(options: Options | None) -> Generator[None]:
    """While a block runs: these are the options that it was really given."""
    token = _asked.set(options or {})
    try:
        yield
    finally:
        _asked.reset(token)


def _attended(
    host: Forward, *args: Any, transformer_options: Options, **kwargs: Any
) -> torch.Tensor:
    given = _asked.get()
    return given[OVERRIDE](host, *args, transformer_options=given, **kwargs)


def hindrance(module: nn.Module, device: torch.device) -> str | None:
    """Why a module is not compiled, in words; None if it is."""
    if is_answered(module):
        return ANSWERED
    for each in module.modules():
        if getattr(each, "weight_function", ()) or getattr(each, "bias_function", ()):
            return LORA
        for weight in each.parameters(recurse=False):
            if type(weight.data) is not torch.Tensor:
                return QUANTIZED
            if weight.device.type != device.type:
                return MOVED
    return None
