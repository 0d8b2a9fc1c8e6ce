"""What was measured for the settings that help pages show, read from benchmarks/results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "web" / "docs"
MODELS = {"dit": "DiT", "unet": "UNet"}
"""The reference models, and what they are called."""

Source = Literal["quality", "calibration"]
FASTEST = "fastest"
"""What a wish that is out of reach became."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a page's table: a setting that was measured.

    Args:
        source: the file of results.
        method: of its rows.
        labels: of its rows; the first that a model has.
        name: what it is called.
        told: parameters of the method that say what was set; none where the name does.
    """

    source: Source
    method: str
    labels: tuple[str, ...]
    name: str
    told: tuple[str, ...] = ()

    def words(self, row: Mapping[str, Any]) -> str:
        """The setting as it stands on the node, with the values of the run that was measured."""
        if not self.told:
            return self.name
        values = ", ".join(parameter(row["parameters"], each) for each in self.told)
        return f"{self.name}: {values}"


def _graded(method: str, *told: str) -> tuple[Setting, ...]:
    names = {"mild": "careful", "default": "default", "bold": "bold"}
    return tuple(Setting("quality", method, (label,), name, told) for label, name in names.items())


TOLD: dict[str, tuple[str, ...]] = {
    "DeepCache": ("interval", "branch"),
    "PAB": ("self_attention", "cross_attention", "window"),
    "FasterCache": ("self_attention", "guidance_interval", "attention_window", "guidance_window"),
    "TGate": ("gate_step", "self_interval"),
}
"""Parameters that say what was set, by method; of others the name of a setting says enough."""
OWN: dict[str, tuple[Setting, ...]] = {
    "SmoothCache": (
        Setting("quality", "SmoothCache", ("default",), "FORA: every 2nd step"),
        Setting("quality", "SmoothCache", ("bold",), "FORA: every 3rd step"),
        *(
            Setting("calibration", "whole blocks", (label,), f"whole blocks: {label}")
            for label in ("every 2nd step", "every 3rd step")
        ),
        Setting("calibration", "SmoothCache layers", ("1.5×",), "speedup 1.5"),
        Setting("calibration", "SmoothCache layers", ("2×",), "speedup 2"),
        Setting("calibration", "SmoothCache layers", ("3×", FASTEST), "speedup 3"),
        Setting(
            "calibration", "SmoothCache blocks", ("3×", FASTEST), "speedup 3, parts: whole blocks"
        ),
    ),
}
"""Settings of methods that have others than careful, default and bold ones."""


def node_ids() -> dict[str, str]:
    """Ids of nodes by their names, which are the titles of their pages."""
    pages = {path.stem: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    return {text.partition("\n")[0].removeprefix("# "): node for node, text in pages.items()}


def _settings() -> dict[str, tuple[Setting, ...]]:
    """Of every method whose default setting was scored."""
    ids = node_ids()
    scored = {
        row["method"]: ids[row["parameters"].partition(" (")[0]]
        for row in read("quality")["rows"]
        if row["label"] == "default"
    }
    return {
        node: OWN.get(method) or _graded(method, *TOLD.get(method, ()))
        for method, node in scored.items()
    }


STEP_CACHE, ADVISOR = "StepCacheForecast", "StepCacheAdvisor"
SPEEDS = {STEP_CACHE: (2.0, 3.0, 4.0), ADVISOR: (1.5, 2.0, 3.0)}
"""Settings of the pages about Step Cache, which the Advisor proposes at the speed wished for."""


def read(source: Source) -> dict[str, Any]:
    """A file of results."""
    return json.loads((RESULTS / f"{source}.json").read_text(encoding="utf-8"))


SETTINGS = _settings()
"""By node id."""


def row_of(
    results: Mapping[str, Any], model: str, method: str, labels: Iterable[str]
) -> dict[str, Any] | None:
    """What was measured on a model, or None.

    Args:
        results: of `read`.
        model: a key of `MODELS`.
        method: of the row.
        labels: the first that there is counts.
    """
    rows = [row for row in results["rows"] if (row["model"], row["method"]) == (model, method)]
    found = {row["label"]: row for row in rows}
    return next((found[label] for label in labels if label in found), None)


def forecast_row(model: str, speed: float) -> dict[str, Any]:
    """What was measured of Step Cache at a speed.

    Raises:
        LookupError: the results lack it.
    """
    found = json.loads((RESULTS / "forecast.json").read_text(encoding="utf-8"))["rows"]
    wanted = {"model": model, "method": "Step Cache", "sampler": "euler", "seed": 7, "speed": speed}
    for row in found:
        if wanted.items() <= row.items():
            return row
    raise LookupError(f"no Step Cache at {speed:g}× on {model} in forecast.json")


def evaluations(row: Mapping[str, Any]) -> str:
    """How many of a row's steps ran the model."""
    return f"{round(row['share']['mean'] * row['steps'])} of {row['steps']} steps"


def parameter(parameters: str, name: str) -> str:
    """One parameter of a method as "name value", two digits after the point at most.

    Args:
        parameters: how the method described itself, such as "Apply PAB (self_attention 2, …)".

    Raises:
        LookupError: it has no such parameter.
    """
    found = re.search(rf"\b{name} ([^,)]+)", parameters)
    if found is None:
        raise LookupError(f"{parameters} has no {name}")
    value = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", found[1])
    return f"{name} {value}"


def percent(share: float) -> str:
    """A share with one digit after the point, as in the README."""
    return f"{100 * share:.1f} %"


def speed(row: Mapping[str, Any]) -> str:
    """The median of paired speedups."""
    return f"{row['speedup']['median']:.2f}×"


def likeness(row: Mapping[str, Any]) -> str:
    """Mean likeness to the plain pictures."""
    return f"{row['psnr']:.1f} dB"
