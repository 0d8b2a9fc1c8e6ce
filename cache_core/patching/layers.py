"""Lets the session answer for the layers of a network during one model call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ..session import Session
from ..sites import Site, SiteKind
from ..streams import StreamKey
from .added import answer_added
from .attention import answer_core, answer_woven
from .families import Access, Added, AttentionCore, OwnForward, Woven
from .model_call import ModelCall
from .module_swap import Answer, Compute, Dispatchers, Swap
from .question import Question
from .replaced import settle_replaced

Layers = Mapping[Site, tuple[nn.Module, Access]]
"""The module behind every claimed site, and the way in."""


def swap_layers(
    swap: Swap,
    call: ModelCall,
    session: Session,
    streams: Sequence[StreamKey],
    layers: Layers,
    dispatchers: Dispatchers,
) -> None:
    """Put dispatchers in place of the forwards, until the swap ends."""
    settled = settle_replaced(call, session, streams, layers)
    # Blocks last: a block's answer stands around those of the layers woven into it.
    for site in sorted(layers, key=lambda site: site.kind is SiteKind.BLOCK):
        module, access = layers[site]
        decision = settled.get(site)
        axis = access.batch_axis if isinstance(access, OwnForward | Added) else 0
        question = Question(session, site, streams, decision, axis)
        # A replaced attention never calls the module's forward, only its projections; its output
        # leaves through to_out in either case.
        target = module if decision is None else module.get_submodule("to_out")
        dispatcher = dispatchers.of(target, site.kind)
        dispatcher.bind(_answer(question, access, module), target.forward)
        swap.callback(dispatcher.release)
        swap.set(target.__dict__, "forward", dispatcher.forward)


def _answer(question: Question, access: Access, module: nn.Module) -> Answer:
    if isinstance(access, Woven):
        return answer_woven(question, access, module)
    if isinstance(access, AttentionCore):
        return answer_core(question, access)
    if isinstance(access, Added):
        return answer_added(question, access, module)
    return _answer_own_forward(question)


def _answer_own_forward(question: Question) -> Answer:
    def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return question.run(lambda: compute(*args, **kwargs))

    return answer
