"""Arithmetic on values, without torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ..values import Value


def combine(
    one: Value, other: Value, join: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> Value:
    """Join two values of the same structure, tensor by tensor.

    Raises:
        ValueError: the structures differ.
    """
    if isinstance(one, tuple) and isinstance(other, tuple):
        return tuple(combine(a, b, join) for a, b in zip(one, other, strict=True))
    if isinstance(one, tuple) or isinstance(other, tuple):
        raise ValueError("a tensor and a tuple of tensors cannot be combined")
    return None if one is None or other is None else join(one, other)
