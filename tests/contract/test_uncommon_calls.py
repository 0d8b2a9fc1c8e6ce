"""Networks that call a layer twice, call some layers not at all, or exchange rows of a batch."""

from __future__ import annotations

from typing import Any

import cases
import observe
import pytest
import torch
import toys
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB, FasterCache

EVERY_KIND = PAB(2, 3, 3, cases.WHOLE_RUN, (0.0,), 2, 2)


def _two_vace_contexts() -> dict[str, Any]:
    conds = toys.conditioning("wan_vace")
    generator = torch.Generator().manual_seed(2)
    for side in conds:
        frames = [torch.randn(1, 32, 2, 8, 8, generator=generator) for _ in range(2)]
        side[0][1].update(vace_frames=frames, vace_strength=[1.0, 0.5])
    return {"conds": conds}


def _no_sound_to_make() -> dict[str, Any]:
    return {"latent": torch.zeros(toys.TOYS["ltxav"].latent)}


def _no_sound_to_attend_to() -> dict[str, Any]:
    conds = toys.conditioning("wan_s2v")
    for side in conds:
        del side[0][1]["audio_embed"]
    return {"conds": conds}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("wan_vace", _two_vace_contexts()),
        ("ltxav", _no_sound_to_make()),
        ("wan_s2v", _no_sound_to_attend_to()),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_layers_called_twice_or_never(name: str, arguments: dict[str, Any]) -> None:
    model = toys.load(name)
    idle = attach(model, PAB(1, 1, 1, cases.WHOLE_RUN))
    expected = toys.sample(model, name, **arguments)
    assert torch.equal(toys.sample(idle, name, **arguments), expected)
    patched, answers = observe.record_answers(observe.hold_inputs_still(attach(model, EVERY_KIND)))
    toys.sample(patched, name, **arguments)
    assert last_report(patched).total_reused > 0
    assert not last_report(patched).forced
    assert all(torch.equal(answer, answers[0]) for answer in answers)


def test_swapped_halves_keep_both_branches_for_more_than_one_latent() -> None:
    name = "hunyuan3d_21"
    model = toys.load(name)
    method = FasterCache(1, 1, 1, guidance_interval=3, guidance_window=cases.WHOLE_RUN)
    patched = attach(model, method)
    two = toys.sample(patched, name, batch=2)
    assert torch.equal(two, toys.sample(model, name, batch=2))
    assert ["both branches" in note for note in last_report(patched).notes] == [True]
    toys.sample(patched, name)
    assert last_report(patched).to_dict()["kinds"]["guidance"]["reused"] > 0


def test_where_the_host_only_takes_pairs_both_branches_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ComfyUI before 0.24; a newer one is made to look like it."""
    name = "hunyuan3d_21"
    model = toys.TOYS[name].make()
    network = type(model.model.diffusion_model)
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda *a, **k: forward(*a, **k))
    method = FasterCache(1, 1, 1, guidance_interval=3, guidance_window=cases.WHOLE_RUN)
    patched = attach(model, method)
    assert torch.equal(toys.sample(patched, name), toys.sample(model, name))
    assert any("no guidance" in note for note in last_report(patched).notes)
