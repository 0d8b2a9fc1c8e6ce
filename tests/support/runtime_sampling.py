"""Other ways to sample: batches, tiles, stages, two experts, and guiders of other people."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import comfy.samplers
import host
import torch
import toys
from comfy_extras import nodes_custom_sampler as custom
from runtime import Conds, Setup, sample
from stepcache.cache_core.host import attach
from stepcache.cache_core.host.installation import installation_of

import nodes

EVERY = ("sd15", "wan", "flux", "sd3")
"""A UNet and three DiTs: attention in modules of its own, fused with the feed-forward and written
in place, and woven into blocks."""


def _flat(*pictures: torch.Tensor) -> torch.Tensor:
    return torch.cat([picture.flatten() for picture in pictures])


def tiles(name: str) -> list[torch.Tensor]:
    """Latents of an upscaled picture's tiles: small ones, a wider one, and the first one again."""
    shape = toys.TOYS[name].latent
    sizes = ((8, 8), (8, 8), (8, 12), (12, 8), (8, 8))
    generator = torch.Generator().manual_seed(8)
    return [torch.randn(*shape[:-2], *size, generator=generator) for size in sizes]


def _tiled(model: Any, name: str, conds: Conds) -> torch.Tensor:
    """An upscaler: one whole picture, then one run per tile with a part of the noise."""
    pictures = [sample(model, name, conds)]
    for tile in tiles(name):
        pictures.append(sample(model, name, conds, latent=tile, denoise=0.6))
    return _flat(*pictures)


class MultiDiffusion:
    """Every evaluation asks for overlapping tiles, and joins them; named as its pack names it."""

    def __call__(self, apply_model: Any, asked: dict[str, Any]) -> torch.Tensor:
        x = asked["input"]
        total, count = torch.zeros_like(x), torch.zeros_like(x)
        for columns in (slice(0, 8), slice(4, 12), slice(8, 16), slice(10, 16)):
            total[..., columns] += apply_model(x[..., columns], asked["timestep"], **asked["c"])
            count[..., columns] += 1
        return total / count


def _tiled_evaluations(model: Any) -> Any:
    clone = model.clone()
    clone.set_model_unet_function_wrapper(MultiDiffusion())
    return clone


def _stages(model: Any, name: str, conds: Conds, second: Any = None) -> torch.Tensor:
    """Two KSampler (Advanced), the first of which hands its leftover noise to the second."""
    sampler = nodes.KSamplerAdvanced()
    whole = (10, 3.0, "euler", "simple", *conds)
    latent = {"samples": toys.TOYS[name].empty()}
    with torch.inference_mode():
        (latent,) = sampler.sample(model, "enable", 1, *whole, latent, 0, 5, "enable")
        first = latent["samples"]
        (latent,) = sampler.sample(second or model, "disable", 1, *whole, latent, 5, 99, "disable")
    return _flat(first, latent["samples"])


@cache
def _low_noise_expert(name: str) -> Any:
    """Another model of the same class."""
    model = toys.TOYS[name].make()
    with torch.no_grad():
        for parameter in model.model.diffusion_model.parameters():
            parameter.mul_(0.95)
    return model


def smaller_wan() -> Any:
    """A model of the same family with fewer layers."""
    config = toys.wan_config()
    config.unet_config["num_layers"] = 2
    return toys.random_weights(lambda: config)()


def like(model: Any, other: Any) -> Any:
    """Another model with the methods of the first."""
    installation = installation_of(model)
    for method in installation.methods if installation else ():
        other = attach(other, method)
    return other


def _experts(model: Any, name: str, conds: Conds) -> torch.Tensor:
    """Wan 2.2: an expert for much noise, another one for little, each with its own node of ours."""
    return _stages(model, name, conds, like(model, _low_noise_expert(name)))


def guided(guider: Any, model: Any, name: str) -> torch.Tensor:
    """One run through SamplerCustomAdvanced."""
    (noise,) = host.outputs_of(custom.RandomNoise.execute(1))
    (sampler,) = host.outputs_of(custom.KSamplerSelect.execute("dpmpp_2m"))
    (sigmas,) = host.outputs_of(custom.BasicScheduler.execute(model, "simple", 5, 1.0))
    latent = {"samples": toys.TOYS[name].empty()}
    with torch.inference_mode():
        result = custom.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent)
    return host.outputs_of(result)[0]["samples"]


def _basic(model: Any, name: str, conds: Conds) -> torch.Tensor:
    return guided(host.outputs_of(custom.BasicGuider.execute(model, conds[0]))[0], model, name)


def _cfg(model: Any, name: str, conds: Conds) -> torch.Tensor:
    return guided(host.outputs_of(custom.CFGGuider.execute(model, *conds, 3.0))[0], model, name)


class OwnGuider(comfy.samplers.CFGGuider):
    """Predicts by itself: one branch per pass, and the negative one first in every other step."""

    evaluations = 0

    def predict_noise(
        self, x: torch.Tensor, timestep: Any, model_options: Any = None, seed: Any = None
    ) -> torch.Tensor:
        self.evaluations += 1
        names = ("positive", "negative") if self.evaluations % 2 else ("negative", "positive")
        answers = {
            name: comfy.samplers.calc_cond_batch(
                self.inner_model, [self.conds[name]], x, timestep, model_options
            )[0]
            for name in names
        }
        guidance = answers["positive"] - answers["negative"]
        return answers["negative"] + 3.0 * guidance


class SilentGuider(OwnGuider):
    """One that leaves the host's announcement of evaluations out."""

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return self.predict_noise(*args, **kwargs)


class AutoGuider(OwnGuider):
    """Guides by what a weaker network answers to the same prompt, in another order every time."""

    weaker: Any = None

    def predict_noise(
        self, x: torch.Tensor, timestep: Any, model_options: Any = None, seed: Any = None
    ) -> torch.Tensor:
        self.evaluations += 1
        networks = [self.inner_model, self.weaker.model]
        answers = {
            network: comfy.samplers.calc_cond_batch(
                network, [self.conds["positive"]], x, timestep, model_options
            )[0]
            for network in (networks if self.evaluations % 2 else networks[::-1])
        }
        strong, weak = (answers[network] for network in networks)
        return weak + 2.0 * (strong - weak)


def _own(model: Any, name: str, conds: Conds, kind: Any = OwnGuider) -> torch.Tensor:
    guider = kind(model)
    guider.set_conds(*conds)
    return guided(guider, model, name)


def _auto(model: Any, name: str, conds: Conds) -> torch.Tensor:
    guider = AutoGuider(model)
    guider.weaker = _low_noise_expert(name)
    guider.set_conds(*conds)
    guider.weaker.pre_run()
    try:
        return guided(guider, model, name)
    finally:
        guider.weaker.cleanup()


def dual(model: Any, name: str, conds: Conds, weaker: Any = None) -> torch.Tensor:
    """ComfyUI's guider that asks a second model for the negative branch."""
    positive, negative = conds
    weaker = weaker or _low_noise_expert(name)
    kind = host.node("nodes_custom_sampler", "DualModelGuider")
    (guider,) = kind.execute(model, positive, 3.0, weaker, negative).result
    return guided(guider, model, name)


SETUPS = [
    Setup("batch of three", (*EVERY, "qwen"), run=partial(sample, batch=3), methods=("PAB",)),
    Setup(
        "batch of three", ("sd15", "flux"), run=partial(sample, batch=3),
        methods=("FasterCache", "DeepCache"),
    ),
    Setup("tiles, one run each", EVERY, run=_tiled, methods=("PAB",), asks_alike=False),
    Setup("tiles, one run each", ("wan",), run=_tiled, asks_alike=False),
    Setup(
        "tiles in every evaluation", ("sd15",), patch=_tiled_evaluations,
        methods=("PAB", "DeepCache"),
    ),
    Setup(
        "tiles in every evaluation", ("wan", "flux", "sd3"), patch=_tiled_evaluations,
        run=partial(sample, size=16), methods=("PAB", "PAB blocks"),
    ),
    Setup("two stages", EVERY, run=_stages, methods=("PAB", "SmoothCache"), asks_alike=False),
    Setup("two stages", ("sd15",), run=_stages, methods=("DeepCache",), asks_alike=False),
    Setup("two stages", ("wan",), run=_stages, methods=("FasterCache", "TGate"), asks_alike=False),
    Setup(
        "two experts", ("wan",), run=_experts, asks_alike=False,
        methods=("PAB", "FasterCache", "TGate", "SmoothCache", "PAB blocks"),
    ),
    # Without a second branch FasterCache's plan has nothing to do; its attention alone has.
    Setup("BasicGuider", EVERY, run=_basic, methods=("PAB", "FasterCache attention")),
    Setup("CFGGuider", EVERY, run=_cfg, methods=("FasterCache",)),
    Setup("a guider of its own", EVERY, run=_own, methods=("PAB",)),
    Setup(
        "a guider without announcements", EVERY, run=partial(_own, kind=SilentGuider),
        methods=("PAB",), asks_alike=False,
    ),
    Setup("guidance by a weaker network", EVERY, run=_auto, methods=("PAB", "PAB blocks")),
    Setup("a model for each branch", EVERY, run=dual, methods=("PAB", "FasterCache attention")),
]  # fmt: skip
