"""What a node says that it will do, before there is a run."""

from __future__ import annotations

import json
from typing import Any

import pytest
import toys
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.host import attach, last_report
from stepcache.nodes.extension import with_strips
from stepcache.previews import library
from stepcache.previews.cache import PreviewCache
from stepcache.previews.preview import assumed_timeline, preview
from stepcache.previews.request import BadRequest
from work import Calls

NODES = with_strips()
STEP, PAB, FASTER, DEEP, TGATE, SMOOTH, ADVISOR = (
    "StepCacheForecast", "StepCacheApplyPAB", "StepCacheApplyFasterCache",
    "StepCacheDeepCacheUNet", "StepCacheTGate", "StepCacheSmoothCache", "StepCacheAdvisor",
)  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    STEP: {"speed": 2.5},
    PAB: {"self_attention": 3, "cross_attention": 4, "feed_forward_count": 2},
    FASTER: {"attention_start_percent": 0.1, "guidance_start_percent": 0.2, "self_attention": 3},
    DEEP: {"interval": 4, "branch": 1},
    TGATE: {"gate_step": 5, "self_interval": 3},
    SMOOTH: {"schedule": "FORA: every 3rd step", "steps": 8},
}
STEPS = 8


def ask(
    node: str, steps: int = STEPS, cache: PreviewCache | None = None, **question: Any
) -> dict[str, Any]:
    return preview(NODES, {"node": node, "steps": steps, **question}, cache or PreviewCache())


@pytest.mark.parametrize("scheduler", ["simple", "karras"])
@pytest.mark.parametrize("model", ["sd15", "wan", "flux", "sd3", "shapes_unet", "shapes_dit"])
@pytest.mark.parametrize("node", SETTINGS)
def test_what_was_said_is_what_the_run_does(node: str, model: str, scheduler: str) -> None:
    """From the schedule and the layers that the first run has shown."""
    inputs = SETTINGS[node]
    try:
        patched = attach(toys.load(model), NODES[node].method(**_with_defaults(node, inputs)))
    except Exception as error:
        assert "DeepCache" in str(error) or "TGATE" in str(error)
        return
    toys.sample(patched, model, steps=STEPS, scheduler=scheduler)
    report = json.loads(last_report(patched).to_json())
    said = ask(node, inputs=inputs, timeline=report["timeline"], layers=report["layers"])
    assert said["error"] is None
    assert said["strips"] == {kind: each["plan"] for kind, each in report["kinds"].items()}
    assert "R" in "".join(said["strips"].values())


RUNS = {
    STEP: ({"speed": 1.5}, {"speed": 3.0}),
    PAB: ({"self_attention": 2}, {"self_attention": 4}),
    FASTER: ({"self_attention": 2}, {"self_attention": 3, "guidance_interval": 2}),
    DEEP: ({"interval": 2}, {"interval": 4}),
    TGATE: ({"gate_step": 6, "self_interval": 2}, {"gate_step": 5, "self_interval": 2}),
    SMOOTH: (
        {"schedule": "FORA: every 2nd step", "steps": 12},
        {"schedule": "FORA: every 3rd step", "steps": 12},
    ),
}


FOR_DIT = (STEP, PAB, FASTER, TGATE, SMOOTH)
WHOLE_BLOCKS = ({"block": 2}, {"block": 4})


@pytest.mark.parametrize(
    ("node", "model", "runs"),
    [
        *((node, "sd15", RUNS[node]) for node in RUNS),
        *((node, "shapes_dit", RUNS[node]) for node in FOR_DIT),
        *((PAB, model, WHOLE_BLOCKS) for model in ("sd15", "wan", "flux", "hidream")),
    ],
)
def test_a_run_tells_what_another_setting_will_keep_and_take(
    node: str, model: str, runs: tuple[dict[str, Any], ...]
) -> None:
    reports: list[dict[str, Any]] = []
    for inputs in runs:
        patched = attach(toys.load(model), NODES[node].method(**_with_defaults(node, inputs)))
        toys.sample(patched, model, steps=12)
        reports.append(last_report(patched).to_dict())
    seen, other = reports
    asked = {key: seen[key] for key in ("timeline", "layers", "observed")}
    said = ask(node, 12, inputs=runs[1], **asked)["estimate"]
    assert said["bytes"] == other["peak_bytes"] > 0
    assert said["speedup"] > 0


@pytest.mark.parametrize("model", ["sd15", "shapes_dit"])
def test_a_setting_that_the_run_has_not_shown_is_not_told(model: str) -> None:
    inputs = {"self_attention": 3, "cross_attention": 1}
    patched = attach(toys.load(model), NODES[PAB].method(**_with_defaults(PAB, inputs)))
    toys.sample(patched, model, steps=12)
    report = last_report(patched).to_dict()
    asked = {key: report[key] for key in ("timeline", "layers", "observed")}
    assert ask(PAB, 12, inputs=inputs, **asked)["estimate"]["speedup"] > 0
    both = {"self_attention": 3, "cross_attention": 4}
    assert ask(PAB, 12, inputs=both, **asked)["estimate"] == {"speedup": None, "bytes": None}
    assert ask(PAB, 12, inputs=both)["estimate"] is None, "no run"


def _with_defaults(node: str, inputs: dict[str, Any]) -> dict[str, Any]:
    defaults = {i.id: i.default for i in NODES[node].define_schema().inputs if i.id != "model"}
    return {**defaults, **inputs}


@pytest.mark.parametrize("node", NODES)
def test_every_node_answers_for_its_defaults(node: str) -> None:
    inputs = {"calibration": "shapes dit, 30 steps.json"} if "Advisor" in node else {}
    said = ask(node, 20, inputs=inputs)
    assert said["error"] is None
    assert said["strips"]
    assert all(len(strip) == 20 for strip in said["strips"].values())
    assert said["description"]


@pytest.mark.parametrize(
    ("steps", "speed", "computed"),
    [(20, 2.0, 10), (20, 3.0, 7), (30, 2.5, 12), (8, 5.0, 3), (4, 5.0, 3)],
)
def test_step_cache_shows_which_steps_run(steps: int, speed: float, computed: int) -> None:
    strips = ask(STEP, steps, inputs={"speed": speed})["strips"]
    assert list(strips) == ["evaluation"]
    strip = strips["evaluation"]
    assert (len(strip), strip.count("C")) == (steps, computed)
    assert set(strip) <= {"C", "R"}
    assert strip.startswith("CC") and strip.endswith("C")


def test_step_cache_says_that_a_run_is_too_short_for_it() -> None:
    said = ask(STEP, 3, inputs={"speed": 2.0})
    assert not said["strips"] and "too short" in said["error"]


def test_step_cache_shows_the_same_on_every_model() -> None:
    alone = ask(STEP, 20)["strips"]
    assert ask(STEP, 20, layers={"self_attention": 4, "feed_forward": 4})["strips"] == alone
    assert ask(STEP, 20, layers={})["strips"] == alone
    assert ask(STEP, 20, one_branch=True)["strips"] == alone


def test_a_calibrated_schedule_says_what_to_expect() -> None:
    inputs = {"schedule": "shapes dit, 30 steps.json", "choose_by": "speedup", "speedup": 1.5}
    said = ask(SMOOTH, 30, inputs=inputs)
    assert said["prediction"]["speedup"] >= 1.49
    assert 0 < said["prediction"]["error"] < 0.1
    assert set(said["strips"]) == {"self_attention", "cross_attention", "feed_forward"}


@pytest.mark.parametrize("steps", [2, 7, 20, 29, 31, 60])
def test_a_calibration_answers_for_other_numbers_of_steps(steps: int) -> None:
    inputs = {"schedule": "shapes dit, 30 steps.json", "choose_by": "threshold"}
    said = ask(SMOOTH, steps, inputs=inputs)
    assert said["error"] is None or "steps" in said["error"]
    assert said["error"] is not None or len(said["strips"]["self_attention"]) == steps


def test_without_a_run_steps_are_taken_to_be_even() -> None:
    method = NODES[PAB].method(**_with_defaults(PAB, {}))
    assert assumed_timeline(method, 10).percents == pytest.approx(Timeline.even(10).percents)
    half = assumed_timeline(method, 5, first=0.5)
    assert half.percents == pytest.approx((0.5, 0.6, 0.7, 0.8, 0.9))
    assert half.timesteps == pytest.approx((500, 400, 300, 200, 100))


def test_the_second_half_of_a_run_is_not_the_first() -> None:
    whole, late = ask(PAB, 10), ask(PAB, 5, first=0.5)
    assert late["strips"]["self_attention"] != whole["strips"]["self_attention"][:5]
    assert late["strips"]["self_attention"][-1] == "C", "after 0.9 everything is computed"


def test_a_schedule_of_another_length_is_not_used_for_this_one() -> None:
    """The sampler has been set to other steps since the run that showed the schedule."""
    even = ask(PAB, 12)
    timeline = {"sigmas": [3, 2, 1, 0], "timesteps": [None] * 3, "percents": [0, 0.01, 0.02]}
    assert ask(PAB, 12, timeline=timeline) == even
    assert ask(PAB, 3, timeline=timeline) != ask(PAB, 3)


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        (PAB, {"start_percent": 0.8, "end_percent": 0.3}, "Apply PAB: start_percent 0.8 is not"),
        (TGATE, {"gate_step": 3, "warm_up": 3}, "TGATE Gate: warm_up"),
        (TGATE, {"gate_step": 18}, "TGATE Gate: gate_step 18 lies beyond this run of 8 steps"),
        (SMOOTH, {"steps": 20}, "SmoothCache Schedule: the schedule is for 20 steps"),
        (SMOOTH, {"schedule": "../secret.json"}, "SmoothCache Schedule: "),
        (PAB, {"preset": "nobody's"}, 'Apply PAB: there is no preset "nobody\'s"'),
    ],
)
def test_what_the_node_would_refuse_is_said_in_its_words(
    node: str, inputs: dict[str, Any], words: str
) -> None:
    said = ask(node, inputs=inputs)
    assert said["error"].startswith(words)
    assert said["strips"] == {}


@pytest.mark.parametrize(
    "question",
    [
        None, [], "node", {}, {"node": PAB}, {"node": "KSampler", "steps": 8},
        {"node": PAB, "steps": 0}, {"node": PAB, "steps": 10**9}, {"node": PAB, "steps": 2.5},
        {"node": PAB, "steps": "8"}, {"node": PAB, "steps": True},
        {"node": PAB, "steps": float("nan")}, {"node": PAB, "steps": 8, "inputs": []},
        {"node": PAB, "steps": 8, "inputs": {"self_attention": 0}},
        {"node": PAB, "steps": 8, "inputs": {"self_attention": 1e9}},
        {"node": PAB, "steps": 8, "inputs": {"self_attention": "2"}},
        {"node": PAB, "steps": 8, "inputs": {"start_percent": float("inf")}},
        {"node": PAB, "steps": 8, "inputs": {"preset": 3}},
        {"node": PAB, "steps": 8, "first": 2}, {"node": PAB, "steps": 8, "first": 0.5, "last": 0.4},
        {"node": PAB, "steps": 8, "layers": {"self_attention": -1}},
        {"node": PAB, "steps": 8, "layers": {"self_attention": 10**12}},
        {"node": PAB, "steps": 8, "files": "a"}, {"node": PAB, "steps": 8, "files": ["a"]},
        {"node": PAB, "steps": 8, "files": [[]] * 17}, {"node": PAB, "steps": 8, "files": [[1]]},
        {"node": PAB, "steps": 8, "files": [["a" * 5000]]},
        {"node": PAB, "steps": 8, "observed": []}, {"node": PAB, "steps": 8, "observed": {}},
        {"node": PAB, "steps": 8, "observed": {"seen": [{}], "value_bytes": {}}},
        {"node": PAB, "steps": 8, "observed": {"seen": [], "value_bytes": {"block": -1}}},
        {"node": PAB, "steps": 8, "observed": {"seen": [], "value_bytes": {"block": "1"}}},
        {"node": PAB, "steps": 8, "observed": {"seen": [], "value_bytes": {}, "row_starts": [-1]}},
        {"node": PAB, "steps": 8, "timeline": {"sigmas": [1]}},
        {"node": PAB, "steps": 8, "timeline": {"sigmas": [1, 0], "timesteps": [], "percents": []}},
        {"node": PAB, "steps": 8, "timeline": {"sigmas": [1] * 10**5, "timesteps": 0}},
    ],
    ids=lambda question: str(question)[:60],
)  # fmt: skip
def test_what_no_front_end_asks_is_refused(question: Any) -> None:
    with pytest.raises(BadRequest):
        preview(NODES, question, PreviewCache())


def test_unknown_inputs_and_kinds_are_passed_by() -> None:
    """A newer front end may know more than this server."""
    asked = {"inputs": {"colour": "red", "self_attention": 3}, "layers": {"mamba": 3}}
    assert ask(PAB, **asked)["strips"] == {}
    del asked["layers"]
    assert ask(PAB, **asked) == ask(PAB, inputs={"self_attention": 3})


SEARCHED = {
    ADVISOR: {"calibration": "shapes dit, 30 steps.json"},
    SMOOTH: {"schedule": "shapes dit, 30 steps.json", "choose_by": "speedup"},
}


@pytest.mark.parametrize("node", SEARCHED)
def test_what_was_searched_answers_as_if_it_were_searched_again(node: str) -> None:
    cache = PreviewCache()
    for speedup in (1.5, 2.5, 1.5, 1.2):
        inputs = {**SEARCHED[node], "speedup": speedup}
        assert ask(node, 30, cache, inputs=inputs) == ask(node, 30, inputs=inputs), speedup
    assert ask(node, 20, cache, inputs=inputs) == ask(node, 20, inputs=inputs), "another run"


def test_a_calibration_that_was_written_anew_is_read_anew() -> None:
    lies, cache = library.target("lies on the desk"), PreviewCache()
    for shipped in ("shapes dit, 30 steps.json", "shapes dit, 20 steps.json"):
        lies.write_bytes(library.path_of(shipped).read_bytes())
        inputs = {"schedule": lies.name, "choose_by": "quality"}
        said = ask(SMOOTH, 20, cache, inputs=inputs)
        inputs["schedule"] = shipped
        assert said["strips"] == ask(SMOOTH, 20, inputs=inputs)["strips"], shipped
    lies.unlink()


MAX_CALLS = 20_000
"""Of functions, for one answer: about a hundredth of a second."""


@pytest.mark.parametrize("node", [*SETTINGS, ADVISOR, "searched"])
def test_moving_a_slider_is_answered_before_the_hand_has_moved_on(node: str) -> None:
    """In calls of functions. The first answer may take more: files are read and searched."""
    cache, spent = PreviewCache(), list[int]()
    searched = SEARCHED.get(SMOOTH if node == "searched" else node if node == ADVISOR else "")
    for moved in range(10):
        with Calls().counted() as calls:
            if searched is not None:
                inputs = {**searched, "speedup": 1.2 + moved / 10}
                ask(SMOOTH if node == "searched" else node, 30, cache, inputs=inputs)
            else:
                ask(node, 90 + moved, cache, inputs={"steps": 90 + moved} if node == SMOOTH else {})
        spent.append(calls.count)
    assert max(spent[1:]) < MAX_CALLS
