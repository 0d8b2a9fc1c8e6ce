"""Runs the workflows in paired rounds: in each, the plain one first, then every method."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from setup.errors import StepError
from setup.layout import ROOT
from setup.progress import StepLine

from .client import Client, Run, RunError
from .options import Options
from .output import Output
from .prompts import (
    SAMPLERS,
    STEPPED,
    Prompt,
    PromptError,
    node_types,
    to_prompt,
    with_inputs,
    with_seed,
)
from .results import Series

WORKFLOWS = ROOT / "workflows"
OWN_CHECKPOINT = "checkpoint"
PLAIN = "_plain"
LEFT_OUT = frozenset({"checkpoint_calibrate", "checkpoint_advisor"})
"""The advisor needs a calibration of the person's checkpoint, which there is none of yet."""
BAR = 24
WARM_UP = "warm-up"


@dataclass(frozen=True, slots=True)
class Group:
    """The workflows of one model.

    Args:
        name: what their file names begin with.
        files: file name without ending -> workflow; the plain one first.
    """

    name: str
    files: Mapping[str, Any]


def find_groups(options: Options) -> list[Group]:
    """What to compare, from the names in workflows/: `unet_plain`, `unet_deepcache`, ...

    Raises:
        StepError: nothing is left to run.
    """
    files = {path.stem: path for path in sorted(WORKFLOWS.glob("*.json"))}
    models = [name.removesuffix(PLAIN) for name in files if name.endswith(PLAIN)]
    members = {model: [model + PLAIN] for model in models}
    for name in files:
        owner = max((m for m in models if name.startswith(f"{m}_")), key=len, default=None)
        if owner is not None and name not in (*members[owner], *LEFT_OUT):
            members[owner].append(name)
    if options.model is not None:
        wanted = [OWN_CHECKPOINT]
    else:
        text = options.only or ""
        wanted = [model for model in models if text in model and model != OWN_CHECKPOINT]
    if not wanted or not set(wanted) <= set(members):
        raise StepError(
            "the workflows to run",
            f"{WORKFLOWS} has nothing for this; there are: {', '.join(models) or 'none'}",
            "run `python scripts/build_workflows.py`, or change --only",
        )
    return [
        Group(m, {name: json.loads(files[name].read_text("utf-8")) for name in members[m]})
        for m in wanted
    ]


def weight_files(groups: Iterable[Group]) -> set[str]:
    """File names of the weights that workflows name."""
    return {
        value
        for group in groups
        for workflow in group.files.values()
        for node in workflow["nodes"]
        for value in node.get("widgets_values", ())
        if isinstance(value, str) and value.endswith(".safetensors")
    }


def missing_nodes(groups: Iterable[Group], object_info: Mapping[str, Any]) -> list[str]:
    """Nodes that the workflows need and the server lacks."""
    needed = {kind for g in groups for w in g.files.values() for kind in node_types(w)}
    return sorted(needed - object_info.keys())


@dataclass(frozen=True, slots=True)
class Entry:
    """One workflow, ready to be queued, and what came of it.

    Args:
        series: collects the runs.
        prompt: what is executed, but for the seed.
        workflow: the file it came from.
    """

    series: Series
    prompt: Prompt
    workflow: Any


async def compare(
    client: Client, groups: Sequence[Group], options: Options, output: Output
) -> dict[str, list[Series]]:
    """Warm every model up, then run all rounds.

    Returns:
        Model -> its series, the plain one first.

    Raises:
        StepError: a plain run failed: then there is nothing to compare with.
    """
    object_info = await client.object_info()
    results: dict[str, list[Series]] = {}
    for group in groups:
        entries = _prepare(group, object_info, options)
        results[group.name] = [entry.series for entry in entries]
        await _run(client, entries[0], options.seed + options.rounds, "warm-up", output)
        for number in range(options.rounds):
            label = f"round {number + 1}/{options.rounds}"
            for entry in entries:
                if entry.series.failure is None:
                    run = await _run(client, entry, options.seed + number, label, output)
                    if run is not None:
                        entry.series.runs.append(run)
                        output.save_run(entry.series.name, run)
    return results


def _prepare(group: Group, object_info: Mapping[str, Any], options: Options) -> list[Entry]:
    entries: list[Entry] = []
    for name, workflow in group.files.items():
        try:
            prompt = _adapt(to_prompt(workflow, object_info), options)
        except PromptError as error:
            raise StepError(
                f"workflows/{name}.json",
                str(error),
                "run `python scripts/build_workflows.py`; if it stays, report a bug",
            ) from error
        plain = entries[0].series if entries else None
        entries.append(Entry(Series(name, plain), prompt, workflow))
    return entries


def _adapt(prompt: Prompt, options: Options) -> Prompt:
    """What the person asked for, in place of what the file says."""
    if options.steps is not None:
        prompt = with_inputs(prompt, {"steps": options.steps}, STEPPED)
    if options.model is None:
        return prompt
    file = {"ckpt_name": options.model.name}
    prompt = with_inputs(prompt, file, frozenset({"CheckpointLoaderSimple"}))
    sizes = {name: getattr(options, name) for name in ("width", "height") if getattr(options, name)}
    prompt = with_inputs(prompt, sizes, frozenset({"EmptyLatentImage"}))
    return prompt if options.prompt is None else _with_text(prompt, options.prompt)


def _with_text(prompt: Prompt, text: str) -> Prompt:
    changed = copy.deepcopy(prompt)
    for node in prompt.values():
        if node["class_type"] in SAMPLERS:
            changed[node["inputs"]["positive"][0]]["inputs"]["text"] = text
    return changed


async def _run(client: Client, entry: Entry, seed: int, label: str, output: Output) -> Run | None:
    """One run with its progress bar; None if it failed, which ends the series.

    Raises:
        StepError: it failed and was a plain one.
    """
    series = entry.series
    line = StepLine(f"{series.name}, {label}", is_announced=False)

    def show(done: int, total: int) -> None:
        filled = BAR * done // total
        line.detail(f"[{'#' * filled}{'.' * (BAR - filled)}] {done}/{total}")

    try:
        run = await client.run(with_seed(entry.prompt, seed), entry.workflow, seed, show)
    except RunError as error:
        line.done("failed")
        series.failure = str(error)
        if series.plain is None:
            remedy = f"read the lines above; the server's log is {output.log}"
            raise StepError(f"workflow {series.name}", series.failure, remedy) from error
        return None
    line.done(f"{run.steps} steps, sampler {run.sampler_seconds:.2f} s")
    return run
