"""Train one of the demo models: ``python -m demo.train.train --model dit --steps 9000``.

A run resumes from its last checkpoint, and batch N of a seed is the same whether or not it was
interrupted.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from .data import generator
from .models import load_comfy
from .objectives import OBJECTIVES

LOG_EVERY = 20
SAVE_EVERY = 200
WARM_UP = 200
PEAK = {"dit": 1e-3, "unet": 1e-3, "textures": 1e-3, "decoder": 2e-3}
BATCH = {"dit": 32, "unet": 24, "textures": 8, "decoder": 8}
EMA = 0.998


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine down to a fiftieth of the peak."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    done = min(1.0, (step - WARM_UP) / max(1, steps - WARM_UP))
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    model: str
    steps: int
    out: Path
    device: str
    seed: int
    batch: int
    peak: float
    threads: int
    precision: str
    comfyui: str | None


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=sorted(OBJECTIVES), required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--out", type=Path, default=Path("train-out"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=0, help="0: the model's own default")
    parser.add_argument("--peak", type=float, default=0, help="learning rate, 0: the default")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: torch's choice")
    parser.add_argument(
        "--precision",
        choices=("bfloat16", "float32"),
        default="bfloat16",
        help="of the arithmetic; float32 is the faster one where a CPU only emulates bfloat16",
    )
    parser.add_argument("--comfyui", help="ComfyUI folder (or set COMFYUI_PATH)")
    return Options(**vars(parser.parse_args()))


def save(path: Path, state: dict) -> None:
    """Replace the checkpoint in one move, so that a killed run never leaves half a file."""
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def main() -> None:
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    load_comfy(options.comfyui)
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    torch.manual_seed(options.seed)
    objective = OBJECTIVES[options.model]().to(device)
    model = objective.model
    halved = options.precision == "bfloat16"
    size = options.batch or BATCH[options.model]
    optimiser = torch.optim.AdamW(
        objective.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01
    )
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / f"{options.model}.pt"
    log_path = options.out / f"{options.model}_loss.csv"
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        objective.load_state_dict(state["objective"])
        optimiser.load_state_dict(state["optimiser"])
        average, first = state["average"], state["step"]
        with log_path.open() as log:
            rows = [row for row in csv.reader(log) if row[0] == "step" or int(row[0]) <= first]
    else:
        rows = [["step", "loss", "learning_rate", "seconds_per_step"]]
    with log_path.open("w", newline="") as log:
        csv.writer(log).writerows(rows)

    total, count, started = 0.0, 0, time.perf_counter()
    for step in range(first, options.steps):
        rng, noise = generator(options.seed, step)
        inputs = objective.draw(rng, noise, size, step / options.steps)
        rate = learning_rate(step, options.steps, options.peak or PEAK[options.model])
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=halved):
            loss = objective(*(part.to(device) for part in inputs))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        keep = min(EMA, (step + 1) / (step + 10))
        with torch.no_grad():
            for key, value in model.state_dict().items():
                average[key].lerp_(value.to(average[key].dtype), 1 - keep)
        total, count = total + float(loss.detach()), count + 1
        if (step + 1) % LOG_EVERY == 0 or step + 1 == options.steps:
            seconds = (time.perf_counter() - started) / count
            with log_path.open("a", newline="") as log:
                csv.writer(log).writerow(
                    [step + 1, f"{total / count:.5f}", f"{rate:.2e}", f"{seconds:.3f}"]
                )
            total, count, started = 0.0, 0, time.perf_counter()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == options.steps:
            state = {
                "objective": objective.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "step": step + 1,
            }
            save(checkpoint, state)


if __name__ == "__main__":
    main()
