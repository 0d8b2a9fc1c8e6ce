"""Writes down what SmoothCache's calibrator measured and decided, so that ours can be compared.

    python scripts/freeze_references.py --calibrator FOLDER

FOLDER is a checkout of Roblox/SmoothCache at edeb4ed: the package on PyPI lacks the calibrator.
Needs no ComfyUI.

One run of the tiny DiT is calibrated at 24 settings: 2 latents in one batch with both branches of
guidance, at timesteps that come closer and part again, so that layers change by 1 to 100 % from one
step to the next. ``fixtures/smoothcache_calibrator.safetensors`` holds

* what every wrapped layer returned: one tensor by its path, (step, row, token, channel), float32,
  in which the calibrator compares; rows are (uncond, uncond, cond, cond),
* under "run": the timesteps; per layer the errors, ``[lag - 1][source step]``; the same as means
  over the blocks, which is what schedules are made of; per setting and component the schedule.

Errors of a smaller lookahead are the first of a larger one's, and all are the same at every
threshold; both are checked here and written down once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from types import ModuleType
from typing import Any

import tiny
import torch
from safetensors.torch import save
from torch import nn

FIXTURE = Path(__file__).with_name("fixtures") / "smoothcache_calibrator.safetensors"

SOURCE = "Roblox/SmoothCache edeb4ed, SmoothCache/calibration"
SHA256 = "9a2ea151f39fc781f2c12afd8cc3515eeb349773fde8d5c9dabf73132cf75b25"
ALPHAS, LOOKAHEADS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4), (1, 2, 3, 5)
COMPONENTS = ("attn1", "ff")
TIMESTEPS = (950, 940, 936, 934.4, 933.8, 933.5, 933.4, 933.1, 932.5, 930.9, 926.9, 916.9)
STEPS = len(TIMESTEPS)
NULL, LABEL = 9, 1
CFG = 1.5

Errors = list[list[float]]


@dataclass(frozen=True)
class Seen:
    """What the calibrator did at one setting.

    Args:
        of_layers: errors by path of the layer.
        means: by component, as its schedules are made of.
        schedule: what it wrote, flags by component.
    """

    of_layers: dict[str, Errors]
    means: dict[str, Errors]
    schedule: dict[str, str]


def calibrator(folder: Path) -> ModuleType:
    """The authors' package from a checkout, beside the one that is installed.

    Raises:
        RuntimeError: the folder holds no such package, or another version of it.
    """
    package = folder / "SmoothCache"
    source = package / "calibration" / "calibration_helper.py"
    if not source.is_file() or hashlib.sha256(source.read_bytes()).hexdigest() != SHA256:
        raise RuntimeError(f"{folder} is no checkout of Roblox/SmoothCache at edeb4ed")
    name = "smoothcache_edeb4ed"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            spec.loader.exec_module(module)
    return sys.modules[name]


def sample(network: nn.Module) -> None:
    """The run that is calibrated: as far as its timesteps are apart, latents follow the network."""
    x = tiny.DIT.noise(2)
    labels = torch.tensor([NULL, NULL, LABEL, LABEL])
    for t, after in pairwise((*TIMESTEPS, TIMESTEPS[-1])):
        out = network(
            torch.cat([x, x]), torch.tensor(float(t)).expand(4), labels, return_dict=False
        )[0]
        uncond, cond = out[:, : x.shape[1]].chunk(2)
        x = x - 0.02 * (t - after) * (uncond + CFG * (cond - uncond))


def calibrate(authors: ModuleType, network: nn.Module, alpha: float, lookahead: int) -> Seen:
    """Run the authors' calibrator; its errors are read where it hands them to its scan."""
    of_layers: dict[str, Errors] = {}
    means: list[Errors] = []

    class Watched(authors.DiffuserCalibrationHelper):
        def generate_schedule(self) -> Any:
            of_layers.update((name, list(rows)) for name, rows in self.calibration_results.items())
            return super().generate_schedule()

        def _scan_nrows_sublists(self, row_lists: Errors, threshold: float) -> Any:
            means.append(row_lists)
            return super()._scan_nrows_sublists(row_lists, threshold)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "schedule.json"
        helper = Watched(
            network, lookahead, alpha, STEPS, str(path), components_to_wrap=list(COMPONENTS)
        )
        helper.enable()
        sample(network)
        helper.disable()
        rows = json.loads(path.read_text())
    schedule = {name: "".join(map(str, row)) for name, row in rows.items()}
    return Seen(of_layers, dict(zip(rows, means, strict=True)), schedule)


def outputs(network: nn.Module) -> dict[str, torch.Tensor]:
    """What every layer that the calibrator wraps returns in the run, by path."""
    found: dict[str, list[torch.Tensor]] = {}

    def keep(path: str) -> Callable[..., None]:
        found[path] = []
        return lambda module, args, output: found[path].append(output.float().clone())

    for path, module in network.named_modules():
        if path.rpartition(".")[2] in COMPONENTS:
            module.register_forward_hook(keep(path))
    sample(network)
    return {path: torch.stack(steps) for path, steps in found.items()}


def observe(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Calibrate at every setting; the fixture's tensors, and what else it holds."""
    seen_at = partial(calibrate, calibrator(folder), tiny.DIT.make())
    with torch.no_grad():
        seen = {setting: seen_at(*setting) for setting in product(ALPHAS, LOOKAHEADS)}
        tensors = outputs(tiny.DIT.make())
    whole = seen[ALPHAS[0], LOOKAHEADS[-1]]
    for (_, lookahead), one in seen.items():
        for all_errors, some in ((whole.of_layers, one.of_layers), (whole.means, one.means)):
            assert some == {name: rows[:lookahead] for name, rows in all_errors.items()}
    assert set(tensors) == set(whole.of_layers)
    schedules = {f"{alpha} {lookahead}": one.schedule for (alpha, lookahead), one in seen.items()}
    for component in COMPONENTS:
        assert len({schedule[component] for schedule in schedules.values()}) > 10
    # Another machine rounds differently; it must not decide differently.
    errors = [e for rows in whole.means.values() for row in rows for e in row]
    assert min(abs(error / alpha - 1) for error in errors for alpha in ALPHAS) > 1e-4
    about = {
        "source": SOURCE,
        "timesteps": TIMESTEPS,
        "errors_of_layers": whole.of_layers,
        "errors": whole.means,
        "schedules": schedules,
    }
    return tensors, about


def checkout() -> Path | None:
    """Where the authors' repository is, if anywhere."""
    path = os.environ.get("SMOOTHCACHE_PATH")
    return Path(path) if path else None


def write(folder: Path) -> None:
    """Write the fixture anew."""
    torch.set_num_threads(1)
    tensors, about = observe(folder)
    FIXTURE.write_bytes(save(tensors, {"run": json.dumps(about)}))
    print(f"{len(tensors)} layers, {FIXTURE.stat().st_size} bytes")
    for setting, schedule in about["schedules"].items():
        print(setting, schedule)
