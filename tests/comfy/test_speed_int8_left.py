"""Layers and runs that int8 leaves as they are, and what is left of a run."""

from __future__ import annotations

import gc
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.model_management import InterruptProcessingException
from rounded import NEAR, apart, count, count_of, in_int8, sample, told
from stepcache.torch_settings import int8
from stepcache.torch_settings.int8_kernel import Int8Weight
from stepcache.torch_settings.int8_layers import linears_of
from torch import nn


def test_layers_that_steer_all_tokens_stay_exact() -> None:
    """They are asked about one row for each picture, as nothing in attention is."""
    for name in (
        "flux",
        "sd3",
        "qwen",
        "cogvideox",
        "cosmos_predict2",
        "mochi",
        "lumina2",
        "boogu",
    ):
        model = toys.load(name)
        network = model.model.diffusion_model
        linears = {p: m for p, m in network.named_modules() if isinstance(m, nn.Linear)}
        rows: dict[str, int] = {}

        def hear(path: str, compute: Any, args: Any, kwargs: Any, rows: Any = rows) -> Any:
            rows[path] = max(rows.get(path, 0), args[0].shape[:-1].numel())
            return compute(*args, **kwargs)

        with observe.overheard(network, linears, hear):
            sample(model, name)
        chosen = linears_of(network)
        assert chosen.keys() < linears.keys()
        assert min(rows[path] for path in chosen) > 2, name


def test_what_another_node_answers_for_stays() -> None:
    model = toys.load("sd15")
    layer = model.model.diffusion_model.input_blocks[1][1].transformer_blocks[0].attn1.to_q
    patched = in_int8(model)
    everywhere = count_of(patched, "sd15")
    compute = layer.forward
    layer.forward = lambda x: compute(x)
    try:
        sample(patched, "sd15")
    finally:
        # As some nodes leave it behind: the layer answers for itself.
        layer.forward = compute
    assert "Dynamic Int8: 1 left as they are: another node answers for them" in told(patched)
    assert count(patched) == everywhere - 1
    try:
        assert count_of(patched, "sd15") == everywhere
    finally:
        del layer.forward


def test_a_layer_that_multiplies_in_a_way_of_its_own_stays() -> None:
    class Doubling(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    model = toys.load("wan")
    attention = model.model.diffusion_model.blocks[0].self_attn
    own = attention.o
    attention.o = Doubling(own.in_features, own.out_features)
    attention.o.load_state_dict(own.state_dict())
    try:
        plain, patched = sample(model, "wan"), in_int8(model)
        assert apart(sample(patched, "wan"), plain) <= NEAR
    finally:
        attention.o = own
    assert "Dynamic Int8: 1 left as they are: they multiply in a way of their own" in told(patched)


def test_what_another_node_compiled_stays() -> None:
    """Marked as PyTorch's two ways of compiling a module mark it; compiling itself takes long."""
    model = toys.load("wan")
    first, second = model.model.diffusion_model.blocks[:2]
    patched = in_int8(model)
    everywhere = count_of(patched, "wan")
    first._compiled_call_impl = first._call_impl
    second.ffn.__dict__["_orig_mod"] = second.ffn[0]
    try:
        sample(patched, "wan")
    finally:
        first._compiled_call_impl = None
        del second.ffn.__dict__["_orig_mod"]
    inside = sum(isinstance(m, nn.Linear) for m in (*first.modules(), *second.ffn.modules()))
    assert f"Dynamic Int8: {inside} left as they are: another node compiled them" in told(patched)
    assert 0 < count(patched) < everywhere


def test_a_network_that_another_node_compiled_runs_as_it_is() -> None:
    class Compiled(nn.Module):
        """What `torch.compile` makes of a network has its attributes, and keeps it under a name."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self._orig_mod = network

        def __getattr__(self, name: str) -> Any:
            own = self.__dict__["_modules"]
            return own[name] if name in own else getattr(own["_orig_mod"], name)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self._orig_mod(*args, **kwargs)

    model = toys.load("wan").clone()
    plain = sample(model, "wan")
    model.add_object_patch("diffusion_model", Compiled(model.model.diffusion_model))
    patched = in_int8(model)
    assert torch.equal(sample(patched, "wan"), plain)
    assert "nothing could be computed in int8, the model ran as it is" in told(patched)
    assert "left as they are: another node compiled them" in told(patched)
    assert torch.equal(sample(toys.load("wan"), "wan"), plain), "the host takes the patch off"


def test_too_little_memory_leaves_the_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toys.load("wan")
    plain = sample(model, "wan")
    monkeypatch.setattr(int8, "SPARE", 10**12)
    patched = in_int8(model)
    assert torch.equal(sample(patched, "wan"), plain)
    assert "nothing could be computed in int8, the model ran as it is" in told(patched)
    assert "left as they are: there is too little free memory" in told(patched)


def test_an_interrupt_leaves_nothing() -> None:
    model = toys.load("wan")
    plain, patched = sample(model, "wan"), in_int8(model)
    picture, marks = sample(patched, "wan"), observe.fingerprint(model)
    with pytest.raises(InterruptProcessingException):
        sample(patched, "wan", callback=observe.cancelling(1))
    assert observe.fingerprint(model) == marks
    assert torch.equal(sample(model, "wan"), plain)
    assert torch.equal(sample(patched, "wan"), picture)


def test_the_weights_in_int8_are_dropped_with_the_run() -> None:
    patched = in_int8(toys.load("wan"))
    sample(patched, "wan")
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Int8Weight]
