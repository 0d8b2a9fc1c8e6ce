"""What a site returns: a tensor, or a tuple of tensors from joint attention and blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard, Union, cast

import torch

Value = Union[torch.Tensor, None, tuple["Value", ...]]  # noqa: UP007 (recursive: no X | Y)
"""A tensor whose first axis is the batch, or a tuple of such. None stands for a part that a layer
leaves out, as the last block of SD3 does with the prompt."""


def is_value(output: object) -> TypeGuard[Value]:
    """Whether something that a layer returned can be kept: tensors with a batch axis."""
    if isinstance(output, tuple):
        return all(is_value(item) for item in cast("tuple[object, ...]", output))
    return output is None or (isinstance(output, torch.Tensor) and output.ndim > 0)


def split(value: Value, parts: int) -> tuple[Value, ...]:
    """Cut the batch into equal parts, one per stream. The parts are views.

    Raises:
        ValueError: the batch cannot be divided.
    """
    if value is None:
        return (None,) * parts
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
    if not tensors:
        return None
    return torch.cat(tensors) if len(tensors) > 1 else tensors[0].clone()


def copy(value: Value) -> Value:
    """A copy that shares no memory: some models write into their own attention outputs."""
    if isinstance(value, tuple):
        return tuple(copy(item) for item in value)
    return None if value is None else value.detach().clone()


def moved(value: Value, device: Any) -> Value:
    """The value on a device; itself, where it lies there."""
    if isinstance(value, tuple):
        return tuple(moved(item, device) for item in value)
    return None if value is None else value.to(device, non_blocking=True)


def add_to(value: Value, other: Value) -> Value:
    """The sum of two values of one structure, in the memory of the first where that has room.

    Of None and anything the sum is None: a stream that a block leaves out.
    """
    if isinstance(value, tuple) and isinstance(other, tuple):
        return tuple(add_to(v, o) for v, o in zip(value, other, strict=True))
    if isinstance(value, torch.Tensor) and isinstance(other, torch.Tensor):
        has_room = torch.promote_types(value.dtype, other.dtype) == value.dtype
        return value.add_(other) if has_room else value + other
    return None


def difference(value: Value, base: Value) -> Value:
    """What a value adds to its base. Of None, a stream that a block leaves out, it is None.

    Raises:
        ValueError: the two differ in structure or shapes.
    """
    if isinstance(value, tuple) and isinstance(base, tuple):
        return tuple(difference(v, b) for v, b in zip(value, base, strict=True))
    return None if value is None else torch.sub(*_pair(value, base))


def pairs(value: Value, base: Value) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The tensors of a value, each with that of its base.

    Raises:
        ValueError: as for `difference`.
    """
    if isinstance(value, tuple) and isinstance(base, tuple):
        for v, b in zip(value, base, strict=True):
            yield from pairs(v, b)
    elif value is not None:
        yield _pair(value, base)


def _pair(value: Value, base: Value) -> tuple[torch.Tensor, torch.Tensor]:
    if not (isinstance(value, torch.Tensor) and isinstance(base, torch.Tensor)):
        raise ValueError("a block returned something else than its hidden states")
    if value.shape != base.shape:
        raise ValueError(f"a block made {tuple(value.shape)} of {tuple(base.shape)}")
    return value, base


def is_alike(one: Value, other: Value) -> bool:
    """Whether two values have the same structure and shapes, and can be combined."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(is_alike, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and one.dtype == other.dtype
    return one is None and other is None


def has_shapes_of(one: Value, other: Value) -> bool:
    """Whether two values have the same structure and shapes, and can be added."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(has_shapes_of, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape
    return one is None and other is None


Precision = Union[torch.dtype, None, tuple["Precision", ...]]  # noqa: UP007 (as above)
"""The types of a value's tensors."""


def precision_of(value: Value) -> Precision:
    """The types of a value's tensors."""
    if isinstance(value, tuple):
        return tuple(map(precision_of, value))
    return None if value is None else value.dtype


def to_precision(value: Value, precision: Precision) -> Value:
    """A value in other types; tensors that are of theirs already stay what they are."""
    if isinstance(value, tuple) and isinstance(precision, tuple):
        return tuple(map(to_precision, value, precision))
    if isinstance(value, torch.Tensor) and isinstance(precision, torch.dtype):
        return value.to(precision)
    return value


def for_sums(precision: Precision) -> Precision:
    """The types in which many values of these are added: half precision as float32."""
    if isinstance(precision, tuple):
        return tuple(map(for_sums, precision))
    is_half = precision in (torch.bfloat16, torch.float16)
    return torch.float32 if is_half else precision


def is_on_processor(output: object) -> bool:
    """Whether all tensors of what a layer returned lie in the processor's memory."""
    if isinstance(output, tuple):
        return all(map(is_on_processor, cast("tuple[object, ...]", output)))
    return not isinstance(output, torch.Tensor) or output.is_cpu


def nbytes(value: Value) -> int:
    """Bytes held by a value."""
    if isinstance(value, tuple):
        return sum(nbytes(item) for item in value)
    return 0 if value is None else value.numel() * value.element_size()
