"""A reference model with its plain pictures, and the scoring of what a cache makes of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.cli_args
import numpy as np
import torch
from comfy.patcher_extension import WrappersMP
from demonstration.measure import psnr, ssim
from numpy.typing import NDArray

from demo import evaluate
from demo.reference import REFERENCES

from .quality_records import Batch, Record

STEPS = 30
SEED = 7
WARM_UP_PICTURES = 2
Patch = Callable[[Any], Any]


class Subject:
    """A reference model in one precision.

    Args:
        name: "dit" or "unet".
        precision: "float32", or "bfloat16" for weights and arithmetic.
        work: folder of the records and the plain pictures.
        batch: captions sampled at once.
        steps: of the sampler.
        seed: of the noise of the first caption's batch.
        sampler: of KSampler.
    """

    def __init__(
        self,
        name: str,
        precision: str,
        work: Path,
        batch: int,
        steps: int,
        seed: int = SEED,
        sampler: str = "euler",
    ) -> None:
        self.name, self.precision, self.batch, self.seed = name, precision, batch, seed
        self._work, self._domain = work, REFERENCES[name].domain
        self.options = options = replace(evaluate.sampling_of(name, steps), sampler=sampler)
        self._conditions = {
            "model": name, "precision": precision, "steps": steps, "seed": seed,
            "cfg": options.cfg, "shift": options.shift, "sampler": options.sampler,
            "scheduler": options.scheduler,
            "batch": batch, "threads": torch.get_num_threads(), "torch": torch.__version__,
        }  # fmt: skip
        self._seconds = 0.0
        self.model = self._load()
        self.plain = self.record("plain", "", "no cache")

    def record(self, method: str, label: str, parameters: str, **more: Any) -> Record:
        """The record of one setting on this model; made or resumed.

        Args:
            method, label, parameters: what is scored.
            more: whatever else belongs to its line.
        """
        told = {"method": method, "label": label, "parameters": parameters, **more}
        what = {**told, **self._conditions}
        parts = (self.name, method, label.replace(" ", "-"), self.precision)
        name = "_".join(part for part in parts if part)
        return Record(self._work / "records" / f"{name}.json", what)

    def captions(self, count: int) -> list[str]:
        """Captions that the model was not trained with, always the same ones."""
        return self._domain.held_out_captions(count)

    def verdicts(self, pictures: torch.Tensor, texts: list[str]) -> dict[str, list[bool]]:
        """What the judge says of every picture."""
        pairs = zip(pictures, texts, strict=True)
        return {
            "correct": [
                self._domain.judge(picture.numpy(), text).correct for picture, text in pairs
            ]
        }

    def warm_up(self, model: Any) -> None:
        """Let caches of the processor and the host settle before anything is timed.

        Few pictures but all steps: gates and schedules are for a run of that length.
        """
        evaluate.sample(model, self.captions(WARM_UP_PICTURES), self.options, self.seed)

    def draw(self, model: Any, texts: list[str], first: int) -> tuple[torch.Tensor, float]:
        """Pictures (B, 256, 256, 3) in [0, 1], and the seconds that sampling took."""
        pictures = evaluate.sample(model, texts, self.options, self.seed + first)
        return pictures, self._seconds

    def plain_pictures(self, texts: list[str], first: int) -> NDArray[np.uint8]:
        """The plain model's pictures of a batch: from disk, or drawn, judged and kept there."""
        folder = self._work / "plain" / f"{self.name}_{self.precision}"
        path = folder / f"{first:05}.npz"
        if self.plain.find(first) is None:
            pictures, seconds = self.draw(self.model, texts, first)
            folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, pictures=eight_bit(pictures))
            self.plain.add({"first": first, **self.verdicts(pictures, texts), "seconds": seconds})
        with np.load(path) as file:
            return file["pictures"]

    def _load(self) -> Any:
        # The host's own --bf16-unet keeps the weights in bf16; on a CPU it still computes in
        # float32 unless it is told otherwise.
        halved = self.precision == "bfloat16"
        comfy.cli_args.args.bf16_unet = halved
        model = evaluate.load_model(self.options)
        comfy.cli_args.args.bf16_unet = False
        if halved:
            model.set_model_compute_dtype(torch.bfloat16)
        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "stopwatch", self._stopwatch)
        return model

    def _stopwatch(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Time the whole sampling run; the first wrapper is the outermost one."""
        started = time.perf_counter()
        samples = executor(*args, **kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._seconds = time.perf_counter() - started
        return samples


def score(subject: Subject, record: Record, patch: Patch, count: int, pair_every: int) -> None:
    """Draw, judge and compare all batches that a record lacks.

    Every `pair_every`-th batch is timed against the plain model, one right after the other, the
    order swapped from pair to pair; the pictures of other batches are compared with stored ones.
    """
    captions = subject.captions(count)
    missing = [i for i in range(0, count, subject.batch) if record.find(i) is None]
    if not missing:
        return
    patched = patch(subject.model)
    subject.warm_up(subject.model)
    subject.warm_up(patched)
    for first in missing:
        texts = captions[first : first + subject.batch]
        stored = subject.plain_pictures(texts, first)
        pair, rest = divmod(first // subject.batch, pair_every)
        batch: Batch = {"first": first}
        if rest == 0:
            pictures, batch["seconds"], batch["plain_seconds"] = timed_pair(
                subject, patched, texts, first, plain_first=pair % 2 == 0
            )
        else:
            pictures, batch["seconds"] = subject.draw(patched, texts, first)
        batch |= subject.verdicts(pictures, texts) | likeness(pictures, stored)
        record.add(batch)
        _show(record, subject.plain, first + len(texts), count)


def retime(subject: Subject, record: Record, patch: Patch, pair_every: int) -> None:
    """Measure the pairs of a record again: more of them, or on a quieter machine."""
    patched = patch(subject.model)
    subject.warm_up(subject.model)
    subject.warm_up(patched)
    captions = subject.captions(max(b["first"] for b in record.batches) + subject.batch)
    for number, batch in enumerate(record.batches):
        batch.pop("plain_seconds", None)
        pair, rest = divmod(number, pair_every)
        if rest:
            continue
        texts = captions[batch["first"] : batch["first"] + subject.batch]
        _, batch["seconds"], batch["plain_seconds"] = timed_pair(
            subject, patched, texts, batch["first"], plain_first=pair % 2 == 0
        )
    record.save()


def timed_pair(
    subject: Subject, patched: Any, texts: list[str], first: int, plain_first: bool
) -> tuple[torch.Tensor, float, float]:
    """The patched model's pictures, its seconds and the plain model's."""
    plain_seconds = subject.draw(subject.model, texts, first)[1] if plain_first else 0.0
    pictures, seconds = subject.draw(patched, texts, first)
    if not plain_first:
        plain_seconds = subject.draw(subject.model, texts, first)[1]
    return pictures, seconds, plain_seconds


def eight_bit(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """Pictures as a file would hold them."""
    return (pictures.numpy() * 255).round().astype(np.uint8)


def likeness(pictures: torch.Tensor, stored: NDArray[np.uint8]) -> dict[str, list[float | None]]:
    """PSNR (None for identical pictures) and SSIM of every 8-bit picture."""
    pairs = [(a / 255.0, b / 255.0) for a, b in zip(eight_bit(pictures), stored, strict=True)]
    decibels = [psnr(a, b) for a, b in pairs]
    return {
        "psnr": [round(value, 3) if math.isfinite(value) else None for value in decibels],
        "ssim": [round(ssim(a, b), 5) for a, b in pairs],
    }


def _show(record: Record, plain: Record, done: int, count: int) -> None:
    row = record.row(plain)
    print(
        f"  {done:4}/{count}  right {100 * row['fully_correct']:5.1f} % "
        f"(plain {100 * row['plain_fully_correct']:.1f} %)  PSNR {row['psnr']} dB  "
        f"SSIM {row['ssim']}  {row['speedup']['median']:.3f}× in {row['speedup']['pairs']} pairs",
        flush=True,
    )
