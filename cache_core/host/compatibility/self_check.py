"""Proof that the layers found in an unknown network may be answered from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ...errors import UnsupportedModelError
from ...session import Answer, Compute
from ...sites import Site
from ...values import Value, copy, is_value
from ..intercept.layers import Layers
from ..intercept.module_swap import ModuleSwap
from .exchanged import in_words, is_exchanged

Run = Callable[[], Any]
"""One more call of the network with the same arguments."""


def prove(layers: Layers, rows: int, run: Run, owners: Sequence[str], network: nn.Module) -> None:
    """Call a network twice, with every layer listened to, and with every layer answered from what
    was heard. Both have to agree to the last bit.

    Args:
        layers: the layers that may be reused.
        rows: rows of the call's batch; a layer must return as many, or its output could not be
            divided among the prompts.
        run: calls the network.
        owners: names of the nodes, for the error.
        network: the network, for the error.

    Raises:
        UnsupportedModelError: the proof failed; the message says where.
    """
    heard: dict[Site, Value] = {}
    calls: Counter[Site] = Counter()
    with ModuleSwap() as swap:
        for site, (module, _) in layers.items():
            swap.answer(module, _listening(site, heard, calls))
        computed = run()
    for site in layers:
        if calls[site] != 1:
            raise _refusal(owners, network, f"{site} was called {calls[site]} times in one step")
        if not _has_rows(heard[site], rows):
            raise _refusal(
                owners, network, f"{site} returns something without a row for every picture"
            )
    with ModuleSwap() as swap:
        for site, (module, _) in layers.items():
            swap.answer(module, _repeating(heard[site]))
        answered = run()
    if not _is_equal(computed, answered):
        raise _refusal(owners, network, "answering for its layers changed the result")


def _listening(site: Site, heard: dict[Site, Value], calls: Counter[Site]) -> Answer:
    def listen(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = compute(*args, **kwargs)
        calls[site] += 1
        heard[site] = copy(output) if is_value(output) else None
        return output

    return listen


def _repeating(value: Value) -> Answer:
    return lambda *_: copy(value)


def _has_rows(value: Value, rows: int) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(_has_rows(item, rows) for item in value)
    return value is not None and value.ndim > 1 and value.shape[0] == rows


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return one is None and other is None


def _refusal(owners: Sequence[str], network: nn.Module, reason: str) -> UnsupportedModelError:
    words = f". If it was of one before: {in_words('', network)}" if is_exchanged(network) else ""
    return UnsupportedModelError(
        f"{' + '.join(owners)}: the model is of no known family, and its layers could not be shown "
        f"to be reusable on the first step: {reason}. Nothing was reused and nothing is lost: "
        f"connect the model past the Step Cache node and sample again{words}"
    )
