"""The demo's textures UNet in the genuine host: how it is loaded, and that it draws."""

from __future__ import annotations

import comfy.model_sampling
import numpy as np
import torch
import torch.nn.functional as functional
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from demo import evaluate
from demo.patched_unet import PatchedUNet
from demo.reference import REFERENCES, TEXTURES

OPTIONS = evaluate.sampling_of("textures", steps=4)


def test_every_reference_model_ships_its_weights() -> None:
    assert set(REFERENCES) == set(evaluate.DEFAULTS)
    for reference in REFERENCES.values():
        weights = evaluate.MODELS / f"{reference.file}.safetensors"
        assert 0 < weights.stat().st_size < 16e6


def test_its_output_is_read_as_the_latent() -> None:
    sampling = evaluate.load_model(OPTIONS).get_model_object("model_sampling")
    assert isinstance(sampling, comfy.model_sampling.ModelSamplingDiscrete)
    output, other = torch.randn(2, 1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampling.calculate_denoised(torch.tensor([3.0]), output, other), output)


def test_patches_are_pixels_of_the_hosts_unet() -> None:
    network = evaluate.load_model(OPTIONS).model.diffusion_model
    assert isinstance(network, PatchedUNet)
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    context, timesteps = TEXTURES.encode(""), torch.tensor([500.0])
    with torch.inference_mode():
        patched = network(x, timesteps, context)
        inner = UNetModel.forward(network, functional.pixel_unshuffle(x, 4), timesteps, context)
    assert inner.shape == (1, 64, 16, 16)
    assert torch.equal(functional.pixel_shuffle(inner, 4), patched)


def test_it_draws_what_a_seed_and_a_caption_ask_for() -> None:
    model = evaluate.load_model(OPTIONS)
    rng = np.random.default_rng(0)
    texts = [TEXTURES.training_caption(rng) for _ in range(2)]
    first, second = evaluate.sample(model, [texts[0], texts[0]], OPTIONS, seed=1)
    assert first.shape == (64, 64, 3)
    assert bool((first >= 0).all()) and bool((first <= 1).all())
    assert not torch.equal(first, second)
    (other,) = evaluate.sample(model, texts[1:], OPTIONS, seed=1)
    (again,) = evaluate.sample(model, texts[1:], OPTIONS, seed=1)
    assert torch.equal(other, again)
    assert float((other - first).abs().mean()) > 0.05
