"""The lists of blocks that a network is made of, known or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from ..cache_core.host.intercept.module_swap import Compute, ModuleSwap


@dataclass(frozen=True, slots=True, eq=False)
class BlockList:
    """Blocks that a network holds in one list.

    Args:
        name: path of the list.
        count: how many there are.
        modules: those that the network calls.
    """

    name: str
    count: int
    modules: tuple[nn.Module, ...]


def block_lists_of(network: nn.Module) -> tuple[BlockList, ...]:
    """Every list of modules in a network, the outermost ones; what is in none is not told apart."""
    return tuple(_lists(network, ""))


def _lists(module: nn.Module, path: str) -> Iterator[BlockList]:
    for name, child in module.named_children():
        where = f"{path}{name}"
        if isinstance(child, nn.ModuleList | nn.Sequential):
            # The host calls what a block of a UNet consists of, never the block itself.
            called = tuple(leaf for block in child for leaf in _called(block))
            count = len(child) if isinstance(child, nn.ModuleList) else 1
            yield BlockList(where, count, called)
        else:
            yield from _lists(child, f"{where}.")


def _called(block: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(block, nn.Sequential | nn.ModuleList):
        yield block
        return
    for child in block:
        yield from _called(child)


Around = Callable[[BlockList], AbstractContextManager[Any]]


def watched(swap: ModuleSwap, lists: Sequence[BlockList], around: Around) -> None:
    """Call every block inside of a context of its list, until the swap ends."""
    for blocks in lists:
        for module in blocks.modules:
            swap.answer(module, partial(_within, around, blocks))


def _within(
    around: Around,
    blocks: BlockList,
    compute: Compute,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    with around(blocks):
        return compute(*args, **kwargs)
