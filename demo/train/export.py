"""Turn checkpoints into what ships: ``python -m demo.train.export --from train-out``.

Writes float16 safetensors of the averaged weights, and each model's loss curve (csv and png).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from ..shapes.captions import USED, WIDTH
from .models import PREDICTIONS, TEXTURES_CONFIG, UNET_CONFIG

MODELS = Path(__file__).resolve().parent.parent / "models"
PLOT = (720, 400)
MARGIN = 56
FILES = {
    "dit": "shapes_dit",
    "unet": "shapes_unet",
    "textures": "textures_unet",
    "decoder": "shapes_decoder",
}
CONFIGS = {"unet": UNET_CONFIG, "textures": TEXTURES_CONFIG}


def shipped(name: str, average: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as the loaders expect them."""
    weights = {key: value.half().contiguous() for key, value in average.items()}
    if name == "dit":
        # Trained on the used columns only; the others are always zero and so are their weights.
        narrow = weights["text_embedding.0.weight"]
        wide = torch.zeros(len(narrow), WIDTH, dtype=narrow.dtype)
        wide[:, :USED] = narrow
        weights["text_embedding.0.weight"] = wide
    return weights


def plot(rows: list[tuple[int, float]], path: Path, title: str) -> None:
    """Loss against step, on a logarithmic scale."""
    picture = Image.new("RGB", PLOT, "white")
    pen = ImageDraw.Draw(picture)
    steps, losses = [row[0] for row in rows], [math.log10(row[1]) for row in rows]
    low, high = math.floor(min(losses) * 5) / 5, math.ceil(max(losses) * 5) / 5
    left, top, right, bottom = MARGIN, MARGIN, PLOT[0] - 20, PLOT[1] - 40

    def at(step: float, log_loss: float) -> tuple[float, float]:
        return (
            left + (right - left) * step / steps[-1],
            bottom - (bottom - top) * (log_loss - low) / (high - low),
        )

    for line in range(round((high - low) * 5) + 1):
        level = low + line / 5
        y = at(0, level)[1]
        pen.line((left, y, right, y), fill="#dddddd")
        pen.text((6, y - 6), f"{10**level:.3g}", fill="black")
    for quarter in range(5):
        step = steps[-1] * quarter // 4
        pen.text((at(step, low)[0] - 10, bottom + 8), str(step), fill="black")
    pen.line([at(s, v) for s, v in zip(steps, losses, strict=True)], fill="#1f4e99", width=2)
    pen.text((left, 16), title, fill="black")
    picture.save(path)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    source: Path
    to: Path
    model: list[str] | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, default=Path("train-out"))
    parser.add_argument("--to", type=Path, default=MODELS)
    parser.add_argument("--model", choices=tuple(FILES), nargs="+")
    options = Options(**vars(parser.parse_args()))
    options.to.mkdir(parents=True, exist_ok=True)
    for name in options.model or FILES:
        state = torch.load(options.source / f"{name}.pt", map_location="cpu", weights_only=True)
        metadata = {"steps": str(state["step"])}
        if name in CONFIGS:
            metadata["config"] = json.dumps(CONFIGS[name])
            metadata["prediction"] = PREDICTIONS[name]
        target = options.to / f"{FILES[name]}.safetensors"
        save_file(shipped(name, state["average"]), str(target), metadata=metadata)
        log = options.source / f"{name}_loss.csv"
        curve = options.to / f"{FILES[name]}_loss.csv"
        shutil.copyfile(log, curve)
        with curve.open() as file:
            rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
        title = f"{FILES[name]}: training loss (mean of 20 steps) by step"
        plot(rows, curve.with_suffix(".png"), title)
        print(f"{target.name}: step {state['step']}, {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
