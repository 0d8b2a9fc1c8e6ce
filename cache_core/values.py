"""What a site returns: a tensor, or a tuple of tensors from joint attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import torch

Value = Union[torch.Tensor, tuple["Value", ...]]  # noqa: UP007 (recursive: no X | Y)
"""A tensor whose first axis is the batch, or a tuple of such."""


def split(value: Value, parts: int) -> tuple[Value, ...]:
    """Cut the batch into equal parts, one per stream. The parts are views.

    Raises:
        ValueError: the batch cannot be divided.
    """
    if isinstance(value, tuple):
        return tuple(zip(*(split(item, parts) for item in value), strict=True))
    if value.shape[0] % parts:
        raise ValueError(f"a batch of {value.shape[0]} cannot be split into {parts} streams")
    return value.chunk(parts)


def join(values: Sequence[Value]) -> Value:
    """Put parts together again. The result shares no memory with them.

    Raises:
        ValueError: the parts differ in structure.
    """
    tuples = [value for value in values if isinstance(value, tuple)]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if tuples and tensors:
        raise ValueError("tensors and tuples of tensors cannot be joined")
    if tuples:
        return tuple(join(column) for column in zip(*tuples, strict=True))
    return torch.cat(tensors) if len(tensors) > 1 else tensors[0].clone()


def copy(value: Value) -> Value:
    """A copy that shares no memory: some models write into their own attention outputs."""
    if isinstance(value, tuple):
        return tuple(copy(item) for item in value)
    return value.detach().clone()


def nbytes(value: Value) -> int:
    """Bytes held by a value."""
    if isinstance(value, tuple):
        return sum(nbytes(item) for item in value)
    return value.numel() * value.element_size()
