"""Score a demo model on held-out captions: ``python -m demo.evaluate --model dit --count 500``.

Samples through ComfyUI's own loaders and samplers, decodes, and lets the judge read the pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .reference import REFERENCES, Verdict
from .train.models import load_comfy

MODELS = Path(__file__).resolve().parent / "models"
DEFAULTS = {
    "dit": {"cfg": 2.0, "shift": 3.0},
    "unet": {"cfg": 2.5, "shift": 0.0},
    "textures": {"cfg": 2.5, "shift": 0.0},
}
GRID_COLUMNS = 10
GRID_SIDE = 128


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a model draws.

    Args:
        model: one of `DEFAULTS`.
        cfg: how strongly captions are followed.
        shift: of the flow (DiT); 0 leaves it as it is.
        models: folder of the weights.
        frames: latent frames (DiT).
        steps, sampler, scheduler: of KSampler.
    """

    model: str
    cfg: float
    shift: float
    models: Path = MODELS
    frames: int = 1
    steps: int
    sampler: str = "euler"
    scheduler: str = "simple"


@dataclass(frozen=True, kw_only=True)
class Options(Sampling):
    """The command line; each as its help says."""

    count: int
    seed: int
    batch: int
    threads: int
    json: Path | None
    grid: Path | None
    comfyui: str | None


def sampling_of(model: str, steps: int) -> Sampling:
    """How one of `DEFAULTS` draws in so many steps."""
    defaults = DEFAULTS[model]
    return Sampling(model=model, cfg=defaults["cfg"], shift=defaults["shift"], steps=steps)


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=sorted(DEFAULTS), required=True)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the weights")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--frames", type=int, default=1, help="latent frames (DiT)")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--shift", type=float, help="DiT: flow shift (ModelSamplingSD3)")
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--scheduler", default="simple")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--batch", type=int, default=25)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--grid", type=Path, help="picture of the first 50 results")
    parser.add_argument("--comfyui", help="ComfyUI folder (or set COMFYUI_PATH)")
    given = vars(parser.parse_args())
    for name, value in DEFAULTS[given["model"]].items():
        if given[name] is None:
            given[name] = value
    return Options(**given)


def load_model(options: Sampling) -> Any:
    """The model as a workflow would load it."""
    import comfy.sd

    reference = REFERENCES[options.model]
    path = options.models / f"{reference.file}.safetensors"
    if reference.is_unet:
        from .nodes.unet import load_unet

        return load_unet(path)
    model = comfy.sd.load_diffusion_model(str(path))
    if options.shift:
        from comfy_extras.nodes_model_advanced import ModelSamplingSD3

        model = ModelSamplingSD3().patch(model, options.shift)[0]
    return model


def sample(model: Any, texts: list[str], options: Sampling, seed: int) -> torch.Tensor:
    """Pictures (B * frames, side, side, 3) in [0, 1]; the side is 256, and 64 for textures."""
    import comfy.sample

    reference = REFERENCES[options.model]
    encode = reference.domain.encode
    latent = reference.empty_latents(len(texts), options.frames)
    positive = [[torch.cat([encode(text) for text in texts]), {}]]
    negative = [[encode(""), {}]]
    noise = comfy.sample.prepare_noise(latent, seed)
    with torch.inference_mode():
        samples = comfy.sample.sample(
            model,
            noise,
            options.steps,
            options.cfg,
            options.sampler,
            options.scheduler,
            positive,
            negative,
            latent,
            seed=seed,
            disable_pbar=True,
        )
    return reference.domain.pictures(samples, options.models)


def save_grid(pictures: torch.Tensor, verdicts: list[Verdict], path: Path) -> None:
    """Pictures of 128 x 128, ten a row; wrong ones have a red bar underneath."""
    rows = -(-len(pictures) // GRID_COLUMNS)
    sheet = Image.new("RGB", (GRID_COLUMNS * 132, rows * 138), (70, 70, 70))
    is_small = pictures.shape[1] < GRID_SIDE
    resampling = Image.Resampling.NEAREST if is_small else Image.Resampling.BICUBIC
    for i, (picture, verdict) in enumerate(zip(pictures, verdicts, strict=True)):
        tile = Image.fromarray((picture.numpy() * 255).round().astype(np.uint8))
        tile = tile.resize((GRID_SIDE, GRID_SIDE), resampling)
        x, y = i % GRID_COLUMNS * 132 + 2, i // GRID_COLUMNS * 138 + 2
        sheet.paste(tile, (x, y))
        if not verdict.correct:
            sheet.paste((255, 40, 40), (x, y + 129, x + 128, y + 134))
    sheet.save(path)


def main() -> None:
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    load_comfy(options.comfyui, training=False)
    model = load_model(options)
    domain = REFERENCES[options.model].domain
    texts = domain.held_out_captions(options.count)
    verdicts: list[Verdict] = []
    shown: list[torch.Tensor] = []
    seconds = 0.0
    for first in range(0, len(texts), options.batch):
        part = texts[first : first + options.batch]
        started = time.perf_counter()
        pictures = sample(model, part, options, options.seed + first)
        seconds += time.perf_counter() - started
        for i, text in enumerate(part):
            frames = pictures[i * options.frames : (i + 1) * options.frames]
            judged = [domain.judge(frame.numpy(), text) for frame in frames]
            verdicts.append(next((one for one in judged if not one.correct), judged[0]))
            shown.append(frames[0])
    report = {
        "model": options.model,
        "settings": {
            name: getattr(options, name)
            for name in ("steps", "cfg", "shift", "sampler", "scheduler", "seed", "frames")
        },
        "captions": len(texts),
        "fully_correct": float(np.mean([verdict.correct for verdict in verdicts])),
        **domain.rates(texts, verdicts),
        "seconds_per_picture": round(seconds / len(texts), 3),
        "wrong": [
            {"caption": text, "reason": verdict.reason}
            for text, verdict in zip(texts, verdicts, strict=True)
            if not verdict.correct
        ],
    }
    print(json.dumps({key: value for key, value in report.items() if key != "wrong"}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.grid:
        save_grid(torch.stack(shown[:50]), verdicts[:50], options.grid)


if __name__ == "__main__":
    main()
