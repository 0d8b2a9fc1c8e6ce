"""Tries on training captions whether a guard would help Step Cache where its runs go wrong.

``python benchmarks/forecast_guard.py``; a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "support")]
sys.path.append(str(HERE.parent / "scripts"))

import host  # noqa: E402
import pack  # noqa: E402

pack.load()
host.boot(cpu=False)

import comfy.samplers  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from demonstration.measure import psnr  # noqa: E402
from forecast_guarded import Guard, Miss, Ratio, guarded  # noqa: E402
from forecast_samplers import Carrying  # noqa: E402
from forecast_training import IDENTICAL  # noqa: E402
from quality_records import read_json, write_json  # noqa: E402
from stepcache.cache_core.methods import StepCache  # noqa: E402
from stepcache.cache_core.methods.step_cache import IN_MULTISTEP  # noqa: E402
from stepcache.cache_core.patching import attach, last_report  # noqa: E402
from stepcache.cache_core.patching.added_noise import sort_of  # noqa: E402

from demo import evaluate  # noqa: E402
from demo.reference import REFERENCES  # noqa: E402

RESULT = HERE / "results" / "forecast_guard.json"
SEED, CAPTION_SEED = 7, 23
STEPS = 20
USUAL, FAST = (2.0, 3.0), (3.0,)
"""Speeds of ordinary runs, and the one at which strong guidance breaks pictures."""
UNEVEN = "uneven"
METHOD = (
    "Captions of training scenes, one picture a run. A guard compares every computed evaluation "
    "with the forecast that would have been made of it; beyond its bound the next planned reuse "
    "computes. Bounds are of: change, RMS of the miss ÷ RMS of the change since the evaluation "
    "computed before, the larger of both prompts; seen, RMS of the miss ÷ mean of those before in "
    "the run, the larger of both prompts; answer, RMS of the miss of the guided denoised latent ÷ "
    "RMS of that latent; back, how far what was computed goes back against the change before it, "
    "in lengths of that. alarmed: pictures in whose run something was computed for it. "
    "evaluations: mean of those that ran the model. psnr: mean against the plain run over the "
    "pictures that are right there, dB. broken: right in the plain run only. slower: no guard, at "
    "the two speeds whose evaluations have this mean between them. not damped: no guard, and with "
    "multistep samplers half a line even where answers swing."
)
RATIOS: dict[Ratio, tuple[float, ...]] = {
    "change": (2.0,), "seen": (2.0,), "answer": (0.5, 1.0, 2.0), "back": (0.5, 1.0),
}  # fmt: skip
GUARDS = [Guard(ratio, bound) for ratio, bounds in RATIOS.items() for bound in bounds]


@dataclass(frozen=True)
class Cell:
    """A run that goes wrong, or an ordinary one."""

    model: str
    sampler: str = "euler"
    cfg: float | None = None
    steps: int = STEPS
    scheduler: str = "simple"
    speeds: tuple[float, ...] = USUAL

    def __str__(self) -> str:
        cfg = "" if self.cfg is None else f", CFG {self.cfg:g}"
        return f"{self.model}, {self.sampler}, {self.scheduler}, {self.steps} steps{cfg}"

    @property
    def sampling(self) -> evaluate.Sampling:
        usual = evaluate.sampling_of(self.model, self.steps)
        return replace(
            usual, sampler=self.sampler, scheduler=self.scheduler,
            cfg=usual.cfg if self.cfg is None else self.cfg,
        )  # fmt: skip


CELLS = (
    Cell("dit", "dpmpp_2m", 6.0, speeds=FAST),
    Cell("dit", "dpmpp_2m", 4.0, speeds=FAST),
    Cell("dit"),
    Cell("dit", "dpmpp_2m"),
    Cell("unet"),
    Cell("dit", "euler", 6.0, speeds=FAST),
    Cell("dit", scheduler=UNEVEN),
    Cell("dit", steps=8, speeds=(8 / 6,)),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line; each as its help says."""

    only: str
    count: int
    threads: int
    out: Path


@dataclass(frozen=True)
class Drawn:
    """A picture, and what it took.

    Args:
        psnr: to the plain one, dB.
        right: whether it is what its caption says.
        evaluations: that ran the model.
        strip: of the evaluations.
        misses: what was compared.
    """

    psnr: float
    right: bool
    evaluations: int
    strip: str
    misses: tuple[Miss, ...]


class Pictures:
    """The pictures of one cell.

    Args:
        model: the host's patcher, nothing of the pack attached.
        texts: captions.
    """

    def __init__(self, model: Any, cell: Cell, texts: list[str]) -> None:
        self._model, self._cell, self._texts = model, cell, texts
        self._judge = REFERENCES[cell.model].domain.judge
        self._plain = [self._sample(model, number) for number in range(len(texts))]
        self.is_right = [
            self._judge(each, text).correct for each, text in zip(self._plain, texts, strict=True)
        ]

    def _sample(self, model: Any, number: int) -> Any:
        text, sampling = self._texts[number], self._cell.sampling
        return evaluate.sample(model, [text], sampling, SEED + number).numpy()[0]

    def draw(self, number: int, method: StepCache, guard: Guard | None = None) -> Drawn:
        """One picture, and with a guard."""
        patched = attach(self._model, method)
        with guarded(guard, self._cell.sampling.cfg) as misses:
            picture = self._sample(patched, number)
        report = last_report(patched)
        assert report is not None
        strip = report.strip_of("evaluation")
        return Drawn(
            min(psnr(picture, self._plain[number]), IDENTICAL),
            self._judge(picture, self._texts[number]).correct,
            sum(letter == "C" for letter in strip), strip, tuple(misses),
        )  # fmt: skip

    def drawn(self, method: StepCache) -> list[Drawn]:
        """All of them without a guard."""
        return [self.draw(number, method) for number in range(len(self._texts))]

    def summary(self, drawn: Sequence[Drawn]) -> dict[str, Any]:
        """What all pictures are like."""
        pairs = list(zip(drawn, self.is_right, strict=True))
        likeness = [each.psnr for each, is_right in pairs if is_right]
        return {
            "evaluations": round(float(np.mean([each.evaluations for each in drawn])), 2),
            "psnr": round(float(np.mean(likeness)), 2) if likeness else None,
            "broken": sum(is_right and not each.right for each, is_right in pairs),
        }


def measured(model: Any, cell: Cell, texts: list[str]) -> dict[str, Any]:
    """Every guard at every speed, beside a lower speed."""
    pictures = Pictures(model, cell, texts)

    @cache
    def slower(count: int) -> dict[str, Any]:
        return pictures.summary(pictures.drawn(StepCache(cell.steps / count)))

    speeds: dict[str, Any] = {}
    for speed in cell.speeds:
        method = StepCache(speed)
        alone = pictures.drawn(method)
        rows: dict[str, Any] = {}
        for guard in GUARDS:
            # Where nothing alarms before the last step, the run is the one without a guard.
            drawn = [
                pictures.draw(number, method, guard)
                if any(map(guard.alarms, each.misses[:-1]))
                else each
                for number, each in enumerate(alone)
            ]
            row = pictures.summary(drawn)
            row["alarmed"] = sum(a.strip != b.strip for a, b in zip(drawn, alone, strict=True))
            if row["alarmed"] and row["evaluations"] <= cell.steps - 1:
                row["slower"] = mixed(row["evaluations"], slower)
            rows[str(guard)] = row
        not_damped: dict[str, Any] = {}
        if sort_of(comfy.samplers.sampler_object(cell.sampler)) == "multistep":
            line = Carrying(speed, what=replace(IN_MULTISTEP, damps=False))
            not_damped = {"not damped": pictures.summary(pictures.drawn(line))}
        speeds[f"{speed:.3g}"] = {
            "none": pictures.summary(alone),
            **not_damped,
            "guards": rows,
            "misses": [[_rounded(miss) for miss in each.misses] for each in alone],
        }
    return {"plain_right": sum(pictures.is_right), "speeds": speeds}


def mixed(evaluations: float, of: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """What runs are like of which as many take one evaluation more as make up this mean."""
    count = math.floor(evaluations)
    share = evaluations - count
    if not share or of(count)["psnr"] is None:
        return of(count)
    pairs = [(of(count)[key], of(count + 1)[key]) for key in ("psnr", "broken")]
    psnr, broken = (round(low + share * (high - low), 2) for low, high in pairs)
    return {"evaluations": evaluations, "psnr": psnr, "broken": broken}


def _rounded(miss: Miss) -> dict[str, float]:
    return {name: round(ratio, 3) for name, ratio in asdict(miss).items()}


def training_captions(count: int, model: str) -> list[str]:
    """Captions of scenes that a model was trained on."""
    rng = np.random.default_rng(CAPTION_SEED)
    return [REFERENCES[model].domain.training_caption(rng) for _ in range(count)]


def uneven(model_sampling: Any, steps: int) -> torch.Tensor:
    """Some levels of a schedule three times as long, by chance."""
    levels = comfy.samplers.calculate_sigmas(model_sampling, "simple", 3 * steps)
    inner = np.random.default_rng(SEED).choice(np.arange(1, 3 * steps), steps - 1, replace=False)
    return levels[[0, *sorted(inner.tolist()), 3 * steps]]


def lines_of(name: str, row: dict[str, Any]) -> Iterator[str]:
    """A cell as lines."""
    yield f"{name}: {row['plain_right']} right in the plain run"
    for speed, found in row["speeds"].items():
        yield f"  {speed}×  {_shown(found['none'])}"
        if "not damped" in found:
            yield f"    not damped                {_shown(found['not damped'])}"
        for guard, one in found["guards"].items():
            slower = f"   slower: {_shown(one['slower'])}" if "slower" in one else ""
            yield f"    {guard:14} alarmed {one['alarmed']:2}  {_shown(one)}{slower}"


def _shown(row: dict[str, Any]) -> str:
    likeness = "-" if row["psnr"] is None else f"{row['psnr']:.1f}"
    return f"{row['evaluations']:5.2f} evaluations, {likeness} dB, {row['broken']:g} broken"


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    comfy.samplers.SCHEDULER_HANDLERS[UNEVEN] = comfy.samplers.SchedulerHandler(uneven)
    comfy.samplers.KSampler.SCHEDULERS.append(UNEVEN)
    conditions = {
        "captions": options.count, "seed": SEED, "torch": torch.__version__, "method": METHOD,
    }  # fmt: skip
    found = read_json(options.out) or {**conditions, "cells": {}}
    if {name: found.get(name) for name in conditions} != conditions:
        raise SystemExit(f"{options.out} was made under other conditions; give another --out")
    cells: dict[str, Any] = found["cells"]
    models: dict[str, Any] = {}
    for cell in CELLS:
        if options.only not in str(cell) or str(cell) in cells:
            continue
        if cell.model not in models:
            models[cell.model] = evaluate.load_model(evaluate.sampling_of(cell.model, STEPS))
        texts = training_captions(options.count, cell.model)
        cells[str(cell)] = measured(models[cell.model], cell, texts)
        write_json(options.out, {**conditions, "cells": cells})
        print("\n".join(lines_of(str(cell), cells[str(cell)])), flush=True)


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cells with this in their name")
    parser.add_argument("--count", type=int, default=8, help="captions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    return Options(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
