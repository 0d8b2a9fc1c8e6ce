"""Layers that a block computes itself: their parts are stubbed, the block still runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ...session import Answer, Compute
from ...values import Value
from ..families import InlinedLayer, SdpaOnly
from .layer_call import LayerCall
from .module_swap import ModuleSwap

OVERRIDE = "optimized_attention_override"
"""Key under which the host lets others take over scaled dot-product attention."""

_QUERY_PATCHES = ("attn1_patch", "attn2_patch")
_OUTPUT_PATCHES = ("attn1_output_patch", "attn2_output_patch")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def answer_inlined(layer_call: LayerCall, access: InlinedLayer, block: nn.Module) -> Answer:
    """Answer for a layer whose projections the block calls itself."""
    outputs = _parts(block, access.outputs)
    inputs = _parts(block, access.inputs)
    passed = _parts(block, access.passed)

    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if layer_call.is_reused(*args, *kwargs.values()):
            return reuse(compute, args, kwargs)
        seen: dict[int, Value] = {}
        with ModuleSwap() as swap:
            for number, module in enumerate(outputs):
                if module is not None:
                    swap.answer(module, _listening(seen, number, layer_call))
            if layer_call.is_measured:
                for module in (m for m in inputs if m is not None):
                    swap.answer(module, measured)
                if access.has_attention:
                    args, kwargs = _with_options(args, kwargs, _measuring(layer_call, args, kwargs))
            result = compute(*args, **kwargs)
        value = tuple(seen.get(number) for number in range(len(outputs)))
        layer_call.record(value)
        return result

    def measured(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return layer_call.compute(compute, *args, **kwargs)

    def reuse(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        values = layer_call.recall()
        assert isinstance(values, tuple)
        with ModuleSwap() as swap:
            for module, value in zip(outputs, values, strict=True):
                if module is not None:
                    swap.answer(module, lambda *_, value=value: value)
            for module in (m for m in inputs if m is not None):
                swap.answer(module, _zeros(module))
            for module in (m for m in passed if m is not None):
                swap.answer(module, _pass_on)
            if access.has_attention:
                dropped = (*_QUERY_PATCHES, *_OUTPUT_PATCHES)
                args, kwargs = _with_options(args, kwargs, _no_attention, dropped)
            return compute(*args, **_without(kwargs, access.unused))

    return answer


def answer_sdpa(layer_call: LayerCall, access: SdpaOnly) -> Answer:
    """Answer for scaled dot-product attention alone."""

    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if layer_call.is_reused(*args, *kwargs.values()):
            value = layer_call.recall()
            args, kwargs = _with_options(args, kwargs, lambda *_, **__: value, _QUERY_PATCHES)
            return compute(*args, **_without(kwargs, access.unused))
        return record(compute, args, kwargs)

    def record(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        seen: list[Value] = []
        others = _options(args, kwargs).get(OVERRIDE)

        def listen(attend: Compute, *a: Any, **k: Any) -> Any:
            parts = (others, attend) if others else (attend,)
            output = layer_call.compute(*parts, *a, **k)
            # Patches on the output may write into it, as NAG's does, and are called again where
            # the value is reused.
            seen.append(layer_call.copy(output))
            return output

        args, kwargs = _with_options(args, kwargs, listen)
        result = compute(*args, **kwargs)
        layer_call.record(seen[0] if len(seen) == 1 else None)
        return result

    return answer


def _parts(block: nn.Module, paths: tuple[str, ...]) -> list[nn.Module | None]:
    """The modules behind paths; None for one that this block lacks."""
    parts: list[nn.Module | None] = []
    for path in paths:
        module: Any = block
        for name in path.split("."):
            module = getattr(module, name, None)
        parts.append(module)
    return parts


def _listening(seen: dict[int, Value], number: int, layer_call: LayerCall) -> Answer:
    def listen(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = layer_call.compute(compute, *args, **kwargs)
        # Blocks that modulate some tokens otherwise than the rest write into what they scale.
        seen[number] = layer_call.copy(output)
        return output

    return listen


def _measuring(
    layer_call: LayerCall, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[..., Any]:
    """An override of attention that only measures what it costs."""
    others = _options(args, kwargs).get(OVERRIDE)

    def attend(function: Compute, *a: Any, **k: Any) -> Any:
        parts = (others, function) if others else (function,)
        return layer_call.compute(*parts, *a, **k)

    return attend


def _zeros(projection: nn.Module) -> Answer:
    """What stands in for a linear projection: zeros of its output's shape, without memory."""
    width: Any = projection.out_features

    def zeros(_: Compute, args: tuple[Any, ...], __: dict[str, Any]) -> torch.Tensor:
        (x,) = args
        return x.new_zeros(()).expand(*x.shape[:-1], width)

    return zeros


def _pass_on(_: Compute, values: tuple[Any, ...], __: dict[str, Any]) -> Any:
    # Norms that take queries, keys and values return the first two.
    return values[0] if len(values) == 1 else values[:2]


def _no_attention(_: Compute, q: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Zeros of the shape that attention over these queries would have."""
    if not kwargs.get("skip_reshape"):
        return torch.zeros_like(q)
    batch, heads, tokens, width = q.shape
    shape = q.shape if kwargs.get("skip_output_reshape") else (batch, tokens, heads * width)
    return q.new_zeros(()).expand(shape)


def _options(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that a block was given; they hold what the call's conditionings are."""
    found = (v for v in (*args, *kwargs.values()) if isinstance(v, dict) and "cond_or_uncond" in v)
    return next(found, {})


def _with_options(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    override: Callable[..., Any],
    dropped: tuple[str, ...] = (),
) -> Arguments:
    """The block's arguments with another attention, and without some patches."""
    old = _options(args, kwargs)
    patches = {name: p for name, p in old.get("patches", {}).items() if name not in dropped}
    new = {**old, OVERRIDE: override, "patches": patches}
    return (
        tuple(new if value is old else value for value in args),
        {name: new if value is old else value for name, value in kwargs.items()},
    )


def _without(kwargs: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: None if name in names else value for name, value in kwargs.items()}
