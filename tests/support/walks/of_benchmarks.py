"""The commands of benchmarks/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepcache.cache_core.methods import METHODS, StepCache

from . import checks
from .walk import Step, Walk

RESULTS = "benchmarks/results"
SHORT = "--count 1 --batch 1 --steps 4 --threads 1"
FLOAT32 = "--precision float32"
"""In bfloat16 they took two to four times as long on a CPU."""
ONE = "--fresh --pairs 1 --only"
FLUX = "flux_small, 256 × 256, batch 1: PAB, whole blocks"
TRAINED = "shapes_dit, 128 × 128, batch 1: SmoothCache"
PICTURES = ("docs/quality.png", "docs/calibration.png", "docs/forecast.png")
COMPARED = (f"{RESULTS}/forecast.json", f"{RESULTS}/forecast.md")
COMPARE = "--count 1 --batch 1 --steps 10 --speeds 2 --pairs 1 --threads 1 --only"
CALIBRATED = f"{SHORT} {FLOAT32} --models dit --without-hosts"


def _cell(key: str) -> checks.Prepare:
    """The one cell that was measured."""

    def is_right(found: Any) -> bool:
        ((measured, row),) = found["cells"].items()
        return measured == key and row["speedup"]["pairs"] == 1 and row["flop_bound"] > 1

    return checks.holds(f"{RESULTS}/matrix.json", is_right)


def _arithmetic(name: str) -> checks.Prepare:
    """What a method keeps has the size that the formula says."""
    return checks.holds(
        f"output/arithmetic_tiny/{name}.json",
        lambda found: (
            found["rows"] and all(row["bytes"] == row["bytes_by_formula"] for row in found["rows"])
        ),
    )


def _measured(found: Mapping[str, Any]) -> bool:
    """A row for each method; Step Cache, which acts on every model, is measured."""
    rows = {row["method"]: row for row in found["rows"]}
    return len(rows) == len(found["rows"]) == len(METHODS) and "speedup" in rows[StepCache.title]


def _gpu(command: str, more: str) -> Walk:
    file = "output/gpu_tiny.json"
    step = Step(command, more, says="wrote .*gpu_tiny", check=checks.holds(file, _measured))
    return Walk((step,))


WALKS = (
    Walk((Step("python -m benchmarks run --list", says=f"(?m)^{FLUX}$"),)),
    Walk((
        Step("python -m benchmarks run", f'{ONE} "{TRAINED}"', leaves=(f"{RESULTS}/matrix.json",),
             check=_cell(TRAINED)),
    )),
    Walk((
        Step('python -m benchmarks run --only "flux_small"', f'{ONE} "{FLUX}"',
             leaves=(f"{RESULTS}/matrix.json",), check=_cell(FLUX)),
    )),
    # Every row is attached to the networks by tests/comfy/test_benchmark_matrix.py.
    Walk((
        Step("python -m benchmarks run --matrix full", status=(2,), says="is for a CUDA device"),
    )),
    Walk((
        Step("python -m benchmarks page", before=checks.without(f"{RESULTS}/matrix.md")),
        Step("python -m benchmarks compare before.json after.json", before=checks.two_results,
             leaves=("before.json", "after.json"), says="1 changed\n.*faster: 2.000"),
        Step("python -m benchmarks tables",
             before=checks.emptied("docs/recipes.md", "docs/methods.md")),
        Step("python -m benchmarks plot",
             before=checks.without(*PICTURES), may_leave=PICTURES,
             check=checks.both(*(checks.picture(name, 1280) for name in PICTURES))),
    )),
    Walk((
        Step("python -m benchmarks arithmetic",
             "overhead smoothcache --tiny --pairs 1",
             check=checks.both(
                 _arithmetic("smoothcache"),
                 checks.holds("output/arithmetic_tiny/overhead.json",
                              lambda found: all(row.get("bit_identical", True)
                                                for row in found["rows"])),
             )),
    )),
    Walk((
        Step("python -m benchmarks arithmetic tgate", "--tiny --pairs 1",
             check=_arithmetic("tgate")),
    )),
    Walk((
        Step("python -m benchmarks quality --threads 2", f"{SHORT} {FLOAT32} --only dit/PAB",
             leaves=(f"{RESULTS}/quality.json",),
             check=checks.rows(f"{RESULTS}/quality.json", "plain", "PAB")),
        Step('python -m benchmarks quality --only "unet/DeepCache" --count 50',
             f"{SHORT} {FLOAT32}",
             leaves=(f"{RESULTS}/quality.json",),
             check=checks.rows(f"{RESULTS}/quality.json", "plain", "PAB", "DeepCache")),
        Step("python -m benchmarks quality --merge-only",
             before=checks.without(f"{RESULTS}/quality.json")),
    )),
    Walk((
        Step("python -m benchmarks forecast --threads 1",
             f'{COMPARE} "dit/Step Cache" "dit/fewer steps" "dit/Taylor*1"', leaves=COMPARED,
             check=checks.rows(COMPARED[0], "plain", "Step Cache", "fewer steps",
                               "TaylorSeer, order 1")),
        Step('python -m benchmarks forecast --only "unet/MagCache" --count 50',
             f"{COMPARE} unet/MagCache", leaves=COMPARED,
             check=checks.holds(COMPARED[0], lambda found: "unet_MagCache-2×"
                                in found["chosen"]["euler"])),
        Step("python -m benchmarks forecast --merge-only", before=checks.without(*COMPARED)),
    )),
    Walk((
        Step("python -m benchmarks forecast_predicted",
             "--models dit --speeds 3.75 --work output/predicted --out output/predicted.json",
             says="rank correlation",
             check=checks.holds("output/predicted.json", lambda found: len(found["rows"]) == 4)),
    )),
    Walk((
        Step("python -m benchmarks forecast_samplers",
             "--models dit --samplers euler --schedulers simple --count 1 "
             "--out output/samplers.json",
             says="dit/euler/simple",
             check=checks.holds("output/samplers.json", lambda found: len(found["cells"]) == 6)),
        Step("python -m benchmarks forecast_samplers --models unet --samplers euler_cfg_pp "
             '--beside noise "denoised held"',
             "--models dit --schedulers simple --count 1 --out output/samplers.json",
             check=checks.holds("output/samplers.json", lambda found: len(found["cells"]) == 7)),
    )),
    Walk((
        Step("python -m benchmarks int8_quality --threads 2 --count 100", f"{SHORT} --models unet",
             leaves=(f"{RESULTS}/int8.json",),
             check=checks.rows(f"{RESULTS}/int8.json", "plain", "PAB", "Dynamic Int8",
                               "Dynamic Int8 and PAB")),
    )),
    Walk((
        Step("python -m benchmarks quality_calibrated --threads 2", CALIBRATED,
             leaves=(f"{RESULTS}/calibration.json",),
             check=checks.holds(f"{RESULTS}/calibration.json",
                                lambda found: found["advised"].keys() == {"dit"})),
        # Nothing is left to be done: it goes on from there.
        Step("python -m benchmarks quality_calibrated --models dit --count 50 --without-hosts",
             CALIBRATED, says="layers in turns"),
        Step("python -m benchmarks quality_calibrated --retime --pair-every 2", CALIBRATED,
             leaves=(f"{RESULTS}/calibration.json",)),
        Step("python -m benchmarks quality_calibrated --merge-only",
             before=checks.without(f"{RESULTS}/calibration.json")),
        Step("python -m benchmarks predicted",
             "--models dit --steps 4 --threads 1 --pairs 1 --batch 1 "
             f"{FLOAT32}",
             leaves=(f"{RESULTS}/predicted.json",),
             check=checks.holds(f"{RESULTS}/predicted.json",
                                lambda found: {1} < {row["pairs"] for row in found["rows"]})),
    )),
    Walk((
        Step("python -m benchmarks served", "--rounds 2 --models dit --pictures 1",
             leaves=(f"{RESULTS}/served.json",),
             check=checks.rows(f"{RESULTS}/served.json", "dit", key="model")),
    )),
    Walk(
        (
            Step("python -m benchmarks strip_cost", "--rounds 1", leaves=(f"{RESULTS}/strip.json",),
                 check=checks.rows(f"{RESULTS}/strip.json", "canvas", "Nodes 2.0", key="renderer")),
        ),
        needs_browser=True,
    ),
    Walk(
        (
            Step("python -m benchmarks strip_answers", "--rounds 1 --only PAB",
                 leaves=(f"{RESULTS}/strip_answers.json",),
                 check=checks.rows(f"{RESULTS}/strip_answers.json",
                                   "StepCacheApplyPAB self_attention", key="slider")),
        ),
        needs_browser=True,
    ),
    Walk((
        # 1 says that a promise was not kept, which on a machine with company tells nothing.
        Step("python -m benchmarks promised",
             "--models shapes_unet --steps 6 --batch 1 --pairs 1", status=(0, 1),
             leaves=(f"{RESULTS}/promised.json",),
             # How much is promised is measured too: there may be nothing to follow.
             check=checks.holds(f"{RESULTS}/promised.json", lambda found: found["steps"] == 6
                                and {row["model"] for row in found["rows"]} <= {"shapes_unet"})),
    )),
    Walk((
        Step("python -m benchmarks compiling", "--layers 2 --width 64 --pairs 1",
             leaves=(f"{RESULTS}/compiling.json",),
             check=checks.holds(f"{RESULTS}/compiling.json",
                                lambda found: [row["variant"] for row in found[-1]["rows"]]
                                == ["TorchCompileModel", "Regional Compile"])),
    )),
    _gpu("python -m benchmarks gpu --tiny", "flux --steps 2 --pairs 1 --backend none"),
    _gpu("python -m benchmarks gpu wan_14b --steps 10 --pairs 2",
         "--tiny --steps 2 --pairs 1 --backend eager"),
)  # fmt: skip
