"""What a layer multiplies by, and whether another product may stand in for its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from comfy import model_management, ops
from torch import nn

from ..cache_core.host.intercept.module_swap import stand_in

FLOATS = (torch.float32, torch.float16, torch.bfloat16)

HOOKED = "the strength of a LoRA changes during the run"
OTHERS = "another node answers for them"
OWN_WAY = "they multiply in a way of their own"
CHANGED = "a LoRA is added to them whenever they are used"
MOVED = "their weights are moved or converted whenever they are used"
QUANTIZED = "their weights are quantized"

Weights = tuple[torch.Tensor, torch.Tensor | None]


def hindrance_of(layer: nn.Linear) -> str | None:
    """Why no other product may stand in for a layer's own, in words; None if one may.

    The model has to be loaded. Weights that are moved or converted are no hindrance (`is_moved`).
    """
    own: Any = layer
    if is_answered(layer):
        return OTHERS
    if getattr(own, "weight_function", ()) or getattr(own, "bias_function", ()):
        return CHANGED
    if is_quantized(layer):
        return QUANTIZED
    return None if _multiplies_plainly(layer) else OWN_WAY


def has_room(device: torch.device, nbytes: int) -> bool:
    """Whether so many bytes are free on a device."""
    free: Any = model_management.get_free_memory(device)  # two numbers where it is asked for both
    return free >= nbytes


def is_quantized(layer: nn.Linear) -> bool:
    """Whether the weights are other numbers than floats of 16 or 32 bits."""
    return type(layer.weight.data) is not torch.Tensor or layer.weight.dtype not in FLOATS


def is_moved(layer: nn.Linear) -> bool:
    """Whether the host moves or converts the weights whenever they are used."""
    own: Any = layer
    return bool(getattr(own, "comfy_cast_weights", False))


@contextmanager
def weights_of(layer: nn.Linear, x: torch.Tensor) -> Generator[Weights]:
    """Weight and bias as the layer would use them for an input, until the block is left.

    Only where nothing hinders.
    """
    if not is_moved(layer):
        yield layer.weight, layer.bias
        return
    weight, bias, stream = ops.cast_bias_weight(layer, x, offloadable=True)
    try:
        yield weight, bias
    finally:
        ops.uncast_bias_weight(layer, weight, bias, stream)


def is_answered(module: nn.Module) -> bool:
    """Whether somebody stands in for a module's forward, as the running call finds it."""
    instead = stand_in(module)
    # Who takes itself out again often leaves the module's own behind, as the host does.
    is_own = getattr(instead, "__self__", None) is module
    return instead is not None and not (is_own and instead.__func__ is type(module).forward)


def _multiplies_plainly(layer: nn.Linear) -> bool:
    """Whether the layer is PyTorch's or the host's own, not a kind that scales or unpacks."""
    host: Any = ops.disable_weight_init.Linear
    own: Any = type(layer)
    if not issubclass(own, host):
        return own.forward is nn.Linear.forward
    return (
        own.forward is host.forward
        and own.forward_comfy_cast_weights is host.forward_comfy_cast_weights
    )
