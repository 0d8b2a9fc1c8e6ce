"""Attention under another node's patch: IP-Adapter and its kind take over a UNet's attention.

The host's blocks then call the projections of an attention and the patch between them, and pass the
module's forward by. Where such an attention is reused, its projections and the patch do nothing,
and what comes out of the last projection is the stored value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ...session import Answer, Compute
from ..model_call import ModelCall
from .layer_call import LayerCall
from .module_swap import opaque

QUERY, LATER, LAST = "to_q", ("to_k", "to_v"), "to_out"
"""Projections of an attention in the order in which the host calls them."""

Arguments = tuple[Any, ...]


class Passing:
    """Whether the attention that the host is in the middle of is reused."""

    __slots__ = ("is_on",)

    def __init__(self) -> None:
        self.is_on = False


def listen_to_patches(call: ModelCall) -> Passing | None:
    """Make the patches of a call leave out what is reused; None where there are none."""
    tables: dict[str, dict[Any, Any]] = call.options.get("patches_replace", {})
    names = [name for name in ("attn1", "attn2") if tables.get(name)]
    if not names:
        return None
    passing = Passing()
    wrapped = {
        name: {key: _unless(passing, patch) for key, patch in tables[name].items()}
        for name in names
    }
    call.options = {**call.options, "patches_replace": {**tables, **wrapped}}
    return passing


def _unless(passing: Passing, patch: Callable[..., Any]) -> Callable[..., Any]:
    def attend(q: Any, *args: Any, **kwargs: Any) -> Any:
        return q if passing.is_on else patch(q, *args, **kwargs)

    return opaque(attend)


def answer_parts(
    layer_call: LayerCall, attention: nn.Module, passing: Passing
) -> dict[nn.Module, Answer]:
    """Answers for an attention that the host may enter by its forward or by its projections."""
    is_inside = False

    def forward(compute: Compute, args: Arguments, kwargs: dict[str, Any]) -> Any:
        nonlocal is_inside
        is_inside = True
        try:
            return layer_call.answer(compute, args, kwargs)
        finally:
            is_inside = False

    def begin(compute: Compute, args: Arguments, kwargs: dict[str, Any]) -> Any:
        if not is_inside:
            passing.is_on = layer_call.is_reused(*args)
        return args[0] if passing.is_on else compute(*args, **kwargs)

    def go_on(compute: Compute, args: Arguments, kwargs: dict[str, Any]) -> Any:
        return args[0] if passing.is_on else compute(*args, **kwargs)

    def end(compute: Compute, args: Arguments, kwargs: dict[str, Any]) -> Any:
        if passing.is_on:
            passing.is_on = False
            return layer_call.recall()
        value = compute(*args, **kwargs)
        if not is_inside:
            layer_call.record(value)
        return value

    parts = dict.fromkeys((attention.get_submodule(name) for name in LATER), go_on)
    return {
        attention: forward,
        attention.get_submodule(QUERY): begin,
        **parts,
        attention.get_submodule(LAST): end,
    }
