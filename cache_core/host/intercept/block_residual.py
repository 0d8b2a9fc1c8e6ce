"""Whole blocks: what is reused is what a block adds to its hidden states."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import nn

from ...session import Answer, Compute
from ...values import Value, add_to
from ..families import BlockResidual
from .layer_call import LayerCall


def answer_residual(layer_call: LayerCall, access: BlockResidual, block: nn.Module) -> Answer:
    """Answer for a block: the hidden states it gets, plus what it added when it was computed."""
    order = _arguments(type(block))

    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = _given(order, args, kwargs, access.hidden_states)
        if layer_call.is_reused(*(given if isinstance(given, tuple) else (given,))):
            added = layer_call.recall()
            return given if added is None else add_to(added, given)
        before = layer_call.copy(given) if access.writes_in_place else given
        output = layer_call.compute(compute, *args, **kwargs)
        layer_call.record_added(output, before, given)
        return output

    return answer


@cache
def _arguments(block: type[nn.Module]) -> tuple[str, ...]:
    """Names of a forward's arguments: callers follow the class, whoever stands in for it."""
    return tuple(inspect.signature(block.forward).parameters)[1:]


def _given(
    order: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any], names: tuple[str, ...]
) -> Value:
    """The hidden states among the arguments: a tensor for one name, a tuple for several."""
    found: list[Value] = []
    for place, name in enumerate(names):
        # A block that takes any arguments, as SD3's does, gets them first.
        position = order.index(name) if name in order else place
        found.append(kwargs[name] if name in kwargs else args[position])
    return found[0] if len(names) == 1 else tuple(found)
