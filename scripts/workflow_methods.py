"""The methods that workflows show: their nodes, saved widgets and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MODEL = ("MODEL", "MODEL")
PICTURE = ("picture", "IMAGE")
TEXT = ("text", "STRING")


@dataclass(frozen=True, slots=True)
class Reader:
    """A node that looks after the run; it gets the model and hands the latent on."""

    kind: str
    title: str
    outputs: tuple[tuple[str, str], ...]


REPORT = Reader(
    "StepCacheReport",
    "Step Cache Report",
    (("latent", "LATENT"), TEXT, ("json", "STRING"), PICTURE),
)
CURVES = Reader("StepCacheCurves", "SmoothCache Curves", (("latent", "LATENT"), PICTURE, TEXT))


@dataclass(frozen=True, slots=True)
class Method:
    """A method's node, its widgets, and what to try with it.

    Args:
        outputs: name and type of each output of its node, the model first.
        reader: the node behind the sampler.
        is_shown: whether pictures and texts of both nodes are shown on the canvas.
        seed_control: what becomes of the seed after a run.
        has_strip: whether its node draws what it plans.
    """

    kind: str
    title: str
    widgets: list[Any]
    note: str
    outputs: tuple[tuple[str, str], ...] = (MODEL,)
    reader: Reader = REPORT
    is_shown: bool = False
    seed_control: str = "fixed"
    has_strip: bool = True


ATTENTION = Method(
    "StepCacheAttentionBackend",
    "Attention Backend",
    ["auto"],
    "**Attention Backend** lets PyTorch choose what computes attention; the picture stays the same "
    "up to rounding.\n"
    "\n- a backend by name: to find out what one of them gains"
    "\n- sage attention, chosen when ComfyUI was started, stays",
    has_strip=False,
)
PRECISION = Method(
    "StepCachePrecision",
    "Precision",
    ["TF32", "as it is"],
    "**Precision** multiplies float32 numbers in TF32 on GPUs that have it. Weights in half "
    "precision are multiplied as they are.\n"
    "\n- sums *reduced*: a little faster with half precision on NVIDIA GPUs"
    "\n- the text on the node says what would be faster on this device",
    (MODEL, TEXT),
    has_strip=False,
)
COMPILE = Method(
    "StepCacheRegionalCompile",
    "Regional Compile",
    ["auto"],
    "**Regional Compile** compiles each kind of block once, so that the first run takes longer and "
    "the ones after it are faster; the picture stays the same up to rounding.\n"
    "\n- it pays off over many pictures: bypass it (Ctrl+B) for one or two"
    "\n- dynamic *on*: before trying many sizes",
    has_strip=False,
)
STRIPS = "\n- the strip on the node shows which steps compute (tall) and reuse (low)"
STEP_CACHE = Method(
    "StepCacheForecast",
    "Step Cache",
    [2.0, 0.0, 1.0, "auto", "none"],
    "**Step Cache** runs the model in half of the steps and forecasts the others from those before "
    "them. It works on every model, with every sampler.\n"
    "\n- speed 1.5: nearer to the plain picture; 3: faster"
    "\n- the strip on the node shows which steps run the model (tall) and which are forecast (low)"
    "\n- the report behind the sampler says what was saved",
    (MODEL, TEXT),
)
DEEPCACHE = Method(
    "StepCacheDeepCacheUNet",
    "DeepCache UNet",
    [3, 0, "uniform", 15, 1.4, 0.0, 1.0, "custom"],
    "**DeepCache** runs the whole UNet on every third step and only its shallow part in between.\n"
    "\n- interval 2: nearer to the plain picture; 5: faster"
    "\n- branch: higher keeps more of the network fresh" + STRIPS,
)
PAB = Method(
    "StepCacheApplyPAB",
    "Apply PAB",
    [2, 4, 6, 0.15, 0.9, 0.3, 0, 5, "custom", 1],
    "**Pyramid Attention Broadcast** reuses attention in the middle of the run: self attention "
    "every 2nd, cross attention every 6th step is computed.\n"
    "\n- 1 never reuses a kind"
    "\n- a wider window (start nearer 0, end nearer 1) is faster and less exact" + STRIPS,
)
FASTERCACHE = Method(
    "StepCacheApplyFasterCache",
    "Apply FasterCache",
    ["custom", 2, 2, 1, 0.3, 1.0, 5, 0.33, 1.0, 1.2, 1.2, 0.7],
    "**FasterCache** leaves out the empty prompt in four of five steps after the first third, and "
    "continues attention from its last two outputs on every second step.\n"
    "\n- guidance_interval 3: nearer to the plain picture"
    "\n- self_attention 1: only the guidance half of the method" + STRIPS,
)
GUIDANCE_ONLY = Method(
    "StepCacheApplyFasterCache",
    "Apply FasterCache",
    ["custom", 1, 1, 1, 0.3, 1.0, 5, 0.33, 1.0, 1.2, 1.2, 0.7],
    "**Two methods on one model:** FasterCache leaves out the empty prompt (its attention ranges "
    "are 1), PAB reuses attention.",
)
TGATE = Method(
    "StepCacheTGate",
    "TGATE Gate",
    ["custom", 18, 2, 5, 1, "uncond (as published)", 0.6],
    "**T-GATE** guides the first 18 steps. Then attention to the prompt is frozen and one branch "
    "finishes the picture.\n"
    "\n- a later gate: nearer to the plain picture; earlier (published: 10 of 25): faster"
    "\n- the gate must be below the sampler's steps" + STRIPS,
)
TGATE_BESIDE_DEEPCACHE = Method(
    "StepCacheTGate",
    "TGATE Gate",
    ["custom", 18, 0, 1, 1, "uncond (as published)", 0.6],
    "**Two methods on one model:** T-GATE ends guidance at step 18, DeepCache runs the whole UNet "
    "on every third step. The two steps at the gate are whole ones.",
)
BY_FILE = ["the file's schedule", 0.15, 1.5, 0.98, 3, "kinds of layers"]
BY_SPEED = ["speedup", 0.15, 1.5, 0.98, 3, "kinds of layers"]
"""Widgets of SmoothCache Schedule from choose_by on."""
SMOOTHCACHE = Method(
    "StepCacheSmoothCache",
    "SmoothCache Schedule",
    ["FORA: every 2nd step", 30, *BY_FILE],
    "**SmoothCache** follows a schedule of steps for each kind of layer. This one is the uniform "
    "baseline; schedules of your own go into models/smoothcache.\n"
    "\n- steps must equal the sampler's" + STRIPS,
    (MODEL, PICTURE, TEXT),
)
CALIBRATED = Method(
    "StepCacheSmoothCache",
    "SmoothCache Schedule",
    ["shapes dit, 30 steps.json", 30, *BY_SPEED],
    "**SmoothCache by a calibration:** the schedule with the least predicted error for a speedup "
    "of 1.5, found in what was measured on this model. The file comes with the pack.\n"
    "\n- speedup 1.2: nearer to the plain picture; 2: faster"
    "\n- choose_by quality: the fastest schedule within an error that you set"
    "\n- parts: whole blocks save more"
    "\n- the picture shows what was measured and what will be reused; the report sets what was "
    "predicted beside what happened\n"
    "\ndit_calibrate makes such a file.",
    (MODEL, PICTURE, TEXT),
    is_shown=True,
)
ADVISED = (
    "**Step Cache Advisor** applies what loses least for the wished speed: Step Cache, or where "
    "that does not act another method, by what was measured on this model.\n"
    "\n- speedup 1.3: nearer to the plain picture; 3: faster"
    "\n- its text says what it chose, with which settings, and what the others promise"
    "\n- the report says which steps ran the model"
)
ADVISOR = Method(
    "StepCacheAdvisor",
    "Step Cache Advisor",
    ["shapes dit, 30 steps.json", 2.0],
    ADVISED + "\n\nThe file comes with the pack; dit_calibrate makes such a file.",
    (MODEL, TEXT),
    is_shown=True,
)
ADVISOR_OF_YOURS = Method(
    "StepCacheAdvisor",
    "Step Cache Advisor",
    ["shapes unet, 30 steps.json", 2.0],
    "**Before you queue:** open checkpoint_calibrate and run it. Then press R here, and choose the "
    "file that it saved as *calibration*. The one that stands there now is of the demo's model and "
    "is refused on yours.\n\n" + ADVISED,
    (MODEL, TEXT),
    is_shown=True,
)
MEASURING = (
    "**Start here.** SmoothCache Calibrate measures the model while it draws a picture like any "
    "other, and saves what it finds under the name on the node.\n"
    "\n- queue it 4 to 8 times: the seed moves on by itself, and each picture is added to the "
    "file; change the prompt in between"
    "\n- SmoothCache Curves shows how much the layers change, and a schedule made of it"
)


def _calibrate(name: str, then: str) -> Method:
    """The calibrating node; `then` says what to do with the file."""
    return Method(
        "StepCacheCalibrate",
        "SmoothCache Calibrate",
        [name, "add to it", 4, False, "per sample", 1024],
        MEASURING + then,
        reader=CURVES,
        is_shown=True,
        seed_control="increment",
        has_strip=False,
    )


CALIBRATE = _calibrate(
    "my shapes dit, 30 steps",
    "\n- then open dit_calibrated or dit_advisor, and choose your file there (press R to see it)",
)
CALIBRATE_YOURS = _calibrate(
    "my checkpoint, 30 steps",
    "\n- set sampler, scheduler and steps as you will use them"
    "\n- then open checkpoint_advisor, and choose your file there (press R to see it)",
)

OF_CHECKPOINTS: dict[str, Method] = {
    "stepcache": STEP_CACHE,
    "deepcache": DEEPCACHE,
    "pab": PAB,
    "fastercache": FASTERCACHE,
    "tgate": TGATE,
    "smoothcache": SMOOTHCACHE,
    "calibrate": CALIBRATE_YOURS,
    "advisor": ADVISOR_OF_YOURS,
}
"""What has a workflow for any checkpoint, by the end of its name: every method, and more."""
