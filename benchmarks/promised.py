"""Follows Speed Audit as a person would: audit, follow the first line, audit again.

Prints the gain that was promised, the one that the next audit shows, and that of whole runs before
and after by turns, which KSampler would take; writes them to results/promised.json. On a quiet
machine:

    .venv/bin/python -m benchmarks promised --models shapes_dit shapes_unet sd15 --batch 8
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import dataclass
from typing import Any

import booted_on_device

import torch
import toys
from stepcache import audit, torch_settings
from stepcache.cache_core.host import attach, detached
from stepcache.nodes.speed_audit import SUGGESTED, suggestions

import nodes as host_nodes

from . import RESULTS, measure

RESULT = RESULTS / "promised.json"
MAX_FOLLOWED = 3
TOLERANCE = 0.1
"""How far what comes may be from what was promised."""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    models: list[str]
    batch: int
    size: int | None
    steps: int
    pairs: int


def audited(model: Any, name: str, options: Options) -> audit.Audit:
    """One audit of a model, as the node makes it."""
    sample = _sampling(name, options)
    with torch.inference_mode():
        return audit.audited(model, sample, options.steps, suggestions(), may_draw=True)[1]


def paired(before: Any, after: Any, name: str, options: Options) -> measure.Ratio:
    """Whole runs before and after following, by turns."""
    sample = _sampling(name, options)
    with torch.inference_mode():
        return measure.paired(
            lambda: sample(before, options.steps),
            lambda: sample(after, options.steps),
            options.pairs,
        )


def _sampling(name: str, options: Options) -> audit.Sample:
    """Samples as KSampler does."""
    positive, negative = toys.conditioning(name)
    latent = {"samples": toys.TOYS[name].empty(options.batch, options.size)}

    def sample(which: Any, steps: int, last: int | None = None, sampler: str | None = None) -> Any:
        return host_nodes.common_ksampler(
            which, 1, steps, 3.0, sampler or "euler", "simple", positive, negative, latent,
            last_step=last,
        )[0]  # fmt: skip

    return sample


def followed(model: Any, advice: audit.Recommendation) -> Any:
    """The model after somebody did what a line says."""
    value = advice.setting.partition(" ")[2]
    if advice.node == torch_settings.FusedProjections.name:
        return torch_settings.apply(model, torch_settings.FusedProjections())
    if advice.node == torch_settings.AttentionBackend.name:
        return torch_settings.apply(model, torch_settings.AttentionBackend(value))
    if advice.node == torch_settings.Precision.name:
        return torch_settings.apply(model, torch_settings.Precision(value))
    node = SUGGESTED[advice.node]
    given = {"block": int(value)} if advice.setting.startswith("block ") else {}
    return attach(detached(model), node.method(**{**node.defaults(), **given}))


def main(given: list[str]) -> int:
    """Print a line per recommendation; 1 if the next audit was further off than `TOLERANCE`."""
    parser = argparse.ArgumentParser("python -m benchmarks promised", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["shapes_dit", "shapes_unet"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=9, help="timed pairs a recommendation")
    options = Options(**vars(parser.parse_args(given)))
    rows: list[dict[str, Any]] = []
    for name in options.models:
        model = toys.load(name)
        audit = audited(model, name, options)
        for _ in range(MAX_FOLLOWED):
            if not audit.advice:
                break
            advice = audit.advice[0]
            before, model = model, followed(model, advice)
            after = audited(model, name, options)
            gain = (after.gained or 1.0) / (audit.gained or 1.0)
            pairs = paired(before, model, name, options)
            row = {
                "model": name, "advice": advice.name, "promised": round(advice.gain, 3),
                "in_next_audit": round(gain, 3), "by_turns": pairs.to_dict(),
                "difference": round(gain / advice.gain - 1, 3),
                "difference_by_turns": round(pairs.median / advice.gain - 1, 3),
                "seconds_before": round(audit.timed.seconds, 2),
            }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)
            audit = after
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "pictures_at_once": options.batch,
        "steps": options.steps,
        "rows": rows,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(any(abs(row["difference"]) > TOLERANCE for row in rows))
