"""Packs that exchange the classes of a network's modules in place: style transfer on Wan."""

from __future__ import annotations

from typing import Any

import cases
import pytest
import torch
import toys
from comfy.ldm.wan.model import WanAttentionBlock, WanModel, WanSelfAttention
from stepcache.cache_core.errors import UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.compatibility.exchanged import pack_of
from stepcache.cache_core.host.remarks import PROVED
from stepcache.cache_core.methods import PAB, FasterCache, TGate
from stepcache.cache_core.sites import SiteKind
from torch import nn

REUSING = PAB(2, 2, 2, cases.WHOLE_RUN)
PACK = "/srv/ComfyUI/custom_nodes/RES4LYF.wan.model"


def _of_pack(own: type[nn.Module], forward: Any) -> type[nn.Module]:
    """A class of another pack, with all that the host's has and a forward of its own."""
    body = {k: v for k, v in vars(own).items() if k not in ("__dict__", "__weakref__")}
    forward.__module__ = PACK
    return type(
        f"Re{own.__name__}", own.__bases__, {**body, "forward": forward, "__module__": PACK}
    )


def _layer(self: Any, *args: Any, **kwargs: Any) -> Any:
    return WanSelfAttention.forward(self, *args, **kwargs)


def _block_that_asks_twice(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """As style transfer does, for the picture and for the style."""
    WanAttentionBlock.forward(self, x.clone(), *args, **kwargs)
    return WanAttentionBlock.forward(self, x, *args, **kwargs)


def _block(self: Any, *args: Any, **kwargs: Any) -> Any:
    return WanAttentionBlock.forward(self, *args, **kwargs)


def _network(self: Any, *args: Any, **kwargs: Any) -> Any:
    return WanModel.forward(self, *args, **kwargs)


def _model() -> Any:
    return toys.TOYS["wan"].make()


def _exchange(model: Any, with_network: bool = True, block: Any = _block_that_asks_twice) -> Any:
    network = model.model.diffusion_model
    if with_network:
        network.__class__ = _of_pack(WanModel, _network)
    block_class, layer_class = (
        _of_pack(WanAttentionBlock, block),
        _of_pack(WanSelfAttention, _layer),
    )
    for each in network.blocks:
        each.__class__ = block_class
        each.self_attn.__class__ = layer_class
    return model


@pytest.mark.parametrize("with_network", [True, False], ids=["all", "blocks"])
def test_exchanged_behind_our_node_it_computes_and_names_the_pack(with_network: bool) -> None:
    """Both nodes share one network: which one is executed first is for the host to say."""
    model = _model()
    patched = attach(model, PAB(2, 1, 1, cases.WHOLE_RUN))
    _exchange(model, with_network)
    assert torch.equal(toys.sample(patched, "wan"), toys.sample(model, "wan"))
    (note,) = (n for n in last_report(patched).notes if "blocks.0" in n)
    assert note.startswith("self_attention is computed in every step: blocks.0.self_attn is a ")
    assert "a ReWanSelfAttention of RES4LYF, which took the place" in note
    assert "take that node out and load the model anew" in note


def test_in_a_known_network_only_its_own_layers_are_answered_for() -> None:
    model = _exchange(_model(), with_network=False)
    patched = attach(model, REUSING)
    idle = attach(model, PAB(1, 1, 1, cases.WHOLE_RUN))
    assert torch.equal(toys.sample(idle, "wan"), toys.sample(model, "wan"))
    toys.sample(patched, "wan")
    report = last_report(patched)
    assert "R" in report.strip_of(SiteKind.CROSS_ATTENTION)
    assert report.strip_of(SiteKind.SELF_ATTENTION) == "." * 6


@pytest.mark.parametrize("method", [REUSING, FasterCache(), TGate(3)], ids=lambda m: m.name)
def test_where_the_network_is_unknown_by_it_the_refusal_names_the_pack(method: Any) -> None:
    """Also after the other pack's node is gone: the network keeps its classes."""
    model = _exchange(_model())
    with pytest.raises(UnsupportedModelError) as refusal:
        toys.sample(attach(model, method), "wan")
    words = str(refusal.value)
    assert words.startswith(f"{method.name}: ") and "no known family" in words
    assert "the network is a ReWanModel of RES4LYF" in words
    assert "take that node out and load the model anew" in words


def test_an_exchanged_network_that_can_be_shown_to_be_right_is_reused() -> None:
    patched = attach(_exchange(_model(), block=_block), REUSING)
    toys.sample(patched, "wan")
    assert PROVED in last_report(patched).notes
    assert last_report(patched).total_reused > 0


def test_an_exchanged_network_without_a_row_of_blocks_is_refused_at_once() -> None:
    model = _exchange(_model())
    model.model.diffusion_model.blocks = model.model.diffusion_model.blocks[:1]
    with pytest.raises(UnsupportedModelError, match=r"no row of equal.*a ReWanModel of RES4LYF"):
        attach(model, REUSING)


def test_a_pack_is_called_as_its_folder() -> None:
    for package, name in {
        "/srv/custom_nodes/RES4LYF.wan": "RES4LYF", "C:\\nodes\\Pack_x_2.a": "Pack.2",
        "comfy.ldm.wan.model": "comfy", "": "another pack",
    }.items():  # fmt: skip
        assert pack_of(type("Some", (), {"__module__": package})) == name
