"""Node "Step Cache Compare Runs", with a genuine VAE."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.taesd.taesd
import folder_paths
import pytest
import torch
import toys
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach, attached, detached, last_report
from stepcache.cache_core.methods import PAB, DeepCache
from stepcache.cache_core.schedules import PercentRange
from stepcache.nodes.step_cache_compare_runs import StepCacheCompareRuns

STEPS = 6
CFG = 3.0


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where previews are written."""
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


@pytest.fixture(scope="module")
def vae() -> Any:
    """The host's smallest VAE, with random weights."""
    generator = torch.Generator().manual_seed(3)
    weights = comfy.taesd.taesd.TAESD().state_dict()
    # The host leaves the memory of new layers as it is.
    drawn = {name: torch.randn(w.shape, generator=generator) / 20 for name, w in weights.items()}
    return comfy.sd.VAE(sd=drawn)


def compare(model: Any, vae: Any, **inputs: Any) -> Any:
    positive, negative = toys.conditioning("sd15")
    given = {
        "positive": positive, "negative": negative, "vae": vae, "seed": 1, "steps": STEPS,
        "latent_image": {"samples": toys.TOYS["sd15"].empty(1, None)}, "cfg": CFG,
        "sampler_name": "euler", "scheduler": "simple",
    }  # fmt: skip
    with torch.inference_mode():
        return StepCacheCompareRuns.execute(model=model, **{**given, **inputs})


def test_both_latents_are_those_of_ordinary_runs(vae: Any) -> None:
    plain_model = toys.load("sd15")
    patched = attach(plain_model, DeepCache(3, 0))
    drawn, text, decibels, _, data, speedup, plain, cached = compare(patched, vae).result
    expected = [
        toys.sample(model, "sd15", steps=STEPS, cfg=CFG) for model in (plain_model, patched)
    ]
    assert torch.equal(plain["samples"], expected[0])
    assert torch.equal(cached["samples"], expected[1])
    assert math.isfinite(decibels), "a cache changes something"
    numbers = json.loads(data)
    assert speedup == pytest.approx(numbers["plain_seconds"] / numbers["seconds"])
    assert "plain took" in text and f"{speedup:.2f}x as fast" in text
    assert drawn.shape[0] == 1 and drawn.shape[-1] == 3
    assert last_report(patched).total_reused > 0, "the report is that of the cached run"


def test_reusing_nothing_draws_the_same(vae: Any) -> None:
    patched = attach(toys.load("sd15"), DeepCache(1, 0))
    _, text, decibels, *_ = compare(patched, vae).result
    assert math.isinf(decibels)
    assert text.startswith("The pictures are the same to the last bit.")


def test_a_model_without_caches_is_refused(vae: Any) -> None:
    with pytest.raises(StepCacheError, match="Step Cache Compare Runs: no Step Cache node is att"):
        compare(toys.load("sd15"), vae)


def test_a_batch_is_compared_whole(vae: Any) -> None:
    patched = attach(toys.load("sd15"), DeepCache(3, 0))
    latent = {"samples": toys.TOYS["sd15"].empty(2, None)}
    data = json.loads(compare(patched, vae, latent_image=latent, shown=1).result[4])
    assert data["pictures"] == 2


def test_what_is_attached_can_be_taken_off_again() -> None:
    plain = toys.load("sd15")
    patched = attach(attach(plain, PAB(2, 2, 2, PercentRange(0.0, 1.0))), DeepCache(1, 0))
    bare = detached(patched)
    assert attached(bare) == ()
    assert len(attached(patched)) == 2, "the model that came in is not changed"
    options = bare.model_options["transformer_options"]
    assert not [key for key in options if "stepcache" in str(key)]
    assert torch.equal(*(toys.sample(model, "sd15") for model in (plain, bare)))
    reports = last_report(patched)
    assert reports is None, "a run of the bare model is none of the patched one"
