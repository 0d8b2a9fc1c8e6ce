"""What calibrating costs a person: generations in a real server, some of them calibrating.

By turns, each calibrating one between two plain ones. On a quiet machine:

    .venv/bin/python -m benchmarks served

Writes results/served.json. ComfyUI runs on the processor; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from statistics import quantiles
from typing import Any

from pack import ROOT

import host
from demonstration.client import Client
from demonstration.prompts import SAMPLERS, Prompt, nodes_of, to_prompt, with_seed
from demonstration.server import running_server

from . import RESULTS

RESULT = RESULTS / "served.json"
MODELS = ("dit", "unet")
PICTURES = (1, 4)
LATENTS = frozenset({"EmptyLatentImage", "EmptyHunyuanLatentVideo"})
METHOD = (
    "The plain example workflow of a reference model, so many pictures at once, with SmoothCache "
    "Calibrate before its sampler and without, by turns; every one with a seed of its own. Ratios "
    "of a calibrating generation to the mean of its two plain neighbours: of the sampler alone, "
    "which saves the file at its end, and from the request to the picture. Quartiles."
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of one generation."""

    sampler: float
    whole: float


class Generations:
    """Generations by one workflow.

    Args:
        client: of the server.
        name: of the calibration.
        workflow: the parsed file.
        pictures: at once.
    """

    def __init__(
        self, client: Client, name: str, workflow: dict[str, Any], info: Any, pictures: int
    ) -> None:
        self._client, self._workflow = client, workflow
        self._plain = _of_pictures(to_prompt(workflow, info), pictures)
        self._calibrating = _calibrating(self._plain, name)
        self._seeds = count(1)

    async def plain(self) -> Taken:
        """One without any node of ours."""
        return await self._generate(self._plain)

    async def calibrating(self) -> Taken:
        """One that is measured, and added to the file of those before."""
        return await self._generate(self._calibrating)

    async def _generate(self, prompt: Prompt) -> Taken:
        seed = next(self._seeds)
        began = time.perf_counter()
        run = await self._client.run(with_seed(prompt, seed), self._workflow, seed, _silent)
        return Taken(run.sampler_seconds, time.perf_counter() - began)


def _silent(*_: int) -> None:
    """Nobody watches the sampler's progress."""


def _of_pictures(prompt: Prompt, pictures: int) -> Prompt:
    """The same with so many at once."""
    (latent,) = nodes_of(prompt, LATENTS)
    inputs = {**prompt[latent]["inputs"], "batch_size": pictures}
    return {**prompt, latent: {**prompt[latent], "inputs": inputs}}


def _calibrating(plain: Prompt, name: str) -> Prompt:
    """The same with the node before the sampler, and its defaults."""
    (sampler,) = nodes_of(plain, SAMPLERS)
    inputs = dict(plain[sampler]["inputs"])
    calibrate = {
        "model": inputs["model"], "name": name, "existing_file": "add to it", "lookahead": 4,
        "each_layer": False, "average": "per sample", "memory": 1024,
    }  # fmt: skip
    return {
        **plain,
        "calibrate": {"class_type": "StepCacheCalibrate", "inputs": calibrate},
        sampler: {**plain[sampler], "inputs": {**inputs, "model": ["calibrate", 0]}},
    }


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    rounds: int
    models: Sequence[str]
    pictures: Sequence[int]


async def _measured(address: str, arguments: Options) -> list[dict[str, Any]]:
    async with Client(address) as client:
        info = await client.object_info()
        rows: list[dict[str, Any]] = []
        for name, pictures in product(arguments.models, arguments.pictures):
            text = (ROOT / "workflows" / f"{name}_plain.json").read_text(encoding="utf-8")
            file = f"{name} {pictures}"
            generations = Generations(client, file, json.loads(text), info, pictures)
            rows.append(
                {"model": name, "pictures": pictures, **await _row(generations, arguments.rounds)}
            )
            print(rows[-1], flush=True)
        return rows


async def _row(generations: Generations, rounds: int) -> dict[str, Any]:
    await generations.calibrating()
    plain, ours = [await generations.plain()], list[Taken]()
    for _ in range(rounds):
        ours.append(await generations.calibrating())
        plain.append(await generations.plain())
    around = list(zip(ours, plain, plain[1:], strict=False))
    return {
        "sampler": _spread([2 * o.sampler / (a.sampler + b.sampler) for o, a, b in around]),
        "whole": _spread([2 * o.whole / (a.whole + b.whole) for o, a, b in around]),
        "plain_sampler_seconds": _spread([each.sampler for each in plain]),
        "rounds": rounds,
    }


def _spread(values: list[float]) -> dict[str, float]:
    low, median, high = quantiles(values, n=4)
    return {"median": round(median, 4), "from": round(low, 4), "to": round(high, 4)}


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks served", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--pictures", nargs="+", type=int, default=PICTURES, help="at once")
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.rounds < 2:
        parser.error("--rounds: expected 2 or more, as quartiles are told")
    with tempfile.TemporaryDirectory() as folder:
        log, python = Path(folder) / "server.log", Path(sys.executable)
        with running_server(python, host.comfyui_path(), log, options=("--cpu",)) as address:
            rows = asyncio.run(_measured(address, arguments))
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
    }
    table = {"machine": machine, "method": METHOD, "rows": rows}
    RESULT.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
