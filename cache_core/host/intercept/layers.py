"""Lets the session answer for the layers of a network during one model call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from ...block_rows import BlockRow
from ...session import Answer, Session
from ...sites import Site, SiteKind
from ...streams import StreamCounter, StreamKey
from ..families import Access, BlockResidual, InlinedLayer, ModuleForward, SdpaOnly
from ..model_call import ModelCall
from .attention import answer_inlined, answer_sdpa
from .attn_replace import answer_parts, listen_to_patches
from .block_residual import answer_residual
from .block_row import BlockRowCall
from .cache_fill import CacheFilling
from .layer_call import LayerCall
from .module_swap import ModuleSwap

Layers = Mapping[Site, tuple[nn.Module, Access]]
"""The module behind every claimed site, and the way in."""


def swap_layers(
    swap: ModuleSwap,
    call: ModelCall,
    session: Session,
    counter: StreamCounter,
    streams: tuple[StreamKey, ...],
    layers: Layers,
    rows: Iterable[BlockRow],
    filling: CacheFilling,
) -> None:
    """Answer for the layers, in the order of `layers`, until the swap ends.

    Args:
        rows: blocks whose sum is stored.
        filling: knows when the network fills a cache of its own.
    """
    passing = listen_to_patches(call)
    patches: Mapping[str, Any] = call.options.get("patches", {})
    around: Mapping[Any, Any] = call.options.get("patches_replace", {}).get("dit", {})
    is_measured = session.is_measuring
    row_of: dict[Site, BlockRowCall] = {}
    for row in rows:
        row_call = BlockRowCall(session, row, call.options)
        swap.callback(row_call.finish)
        row_of.update(dict.fromkeys(row, row_call))
    for site, (module, access) in layers.items():
        axis = access.batch_axis if isinstance(access, ModuleForward | BlockResidual) else 0
        is_followed = _is_followed(access, patches) or (bool(around) and _is_inside(site, around))
        layer_call = LayerCall(
            session, site, counter, streams, axis, is_followed, is_measured, row_of.get(site)
        )
        if passing is not None and _is_replaceable(site, module):
            answers = answer_parts(layer_call, module, passing)
        else:
            answers = {module: _answer(layer_call, access, module)}
        for target, answer in answers.items():
            swap.answer(target, filling.aside(session.timed_dispatch(answer, site)))


def _is_followed(access: Access, patches: Mapping[str, Any]) -> bool:
    names = access.followed_by if isinstance(access, ModuleForward | SdpaOnly) else ()
    return bool(names) and all(patches.get(name) for name in names)


_SEPARATE = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.TEMPORAL_ATTENTION,
})  # fmt: skip

_ROW = re.compile(r"(?:^|\.)([^.]*)\.(\d+)(?=\.|$)")
"""Name of the outermost row of blocks on a path, and the number of the block."""


def _is_inside(site: Site, around: Mapping[Any, Any]) -> bool:
    """Whether another node's patch stands around the block of one of several attentions.

    Such a patch may tell them apart by the order in which they compute, as spatio-temporal guidance
    does: they compute together. Attention over prompt and picture at once is alone in its block.
    Keys of patches are the name of a row, which only networks with several rows keep to, and a
    number.
    """
    found = _ROW.search(site.path)
    if site.kind not in _SEPARATE or found is None:
        return False
    row, number = found[1], int(found[2])
    rows = ("double_block", "single_block")
    names = [name for name in rows if row.startswith(name)] or rows
    return any((name, number) in around for name in names)


def _is_replaceable(site: Site, module: nn.Module) -> bool:
    """Whether the host may hand this attention to another node's patch."""
    return site.path.endswith(("attn1", "attn2")) and hasattr(module, "to_out")


def _answer(layer_call: LayerCall, access: Access, module: nn.Module) -> Answer:
    if isinstance(access, InlinedLayer):
        return answer_inlined(layer_call, access, module)
    if isinstance(access, SdpaOnly):
        return answer_sdpa(layer_call, access)
    if isinstance(access, BlockResidual):
        return answer_residual(layer_call, access, module)
    return layer_call.answer
