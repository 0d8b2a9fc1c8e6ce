"""Published settings: their numbers against the authors' rules, and the models they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.methods import METHODS, PAB, DeepCache, FasterCache, Method, TGate
from stepcache.cache_core.methods.presets import (
    DEEPCACHE_PRESETS,
    FASTERCACHE_PRESETS,
    FORA_SCHEDULES,
    PAB_PRESETS,
    TGATE_PRESETS,
    fora,
    uniform,
)
from stepcache.cache_core.rules import plans_of

TABLES: dict[type[Method], Mapping[str, Method]] = {
    DeepCache: DEEPCACHE_PRESETS,
    PAB: PAB_PRESETS,
    FasterCache: FASTERCACHE_PRESETS,
    TGate: TGATE_PRESETS,
}
SIZES = {DeepCache: 26, PAB: 6, FasterCache: 6, TGate: 14}
every_preset = pytest.mark.parametrize(
    "made",
    [made for table in TABLES.values() for made in table.values()],
    ids=lambda made: f"{made.name}, {made.preset}",
)


def strips(method: Method, line: Timeline) -> dict[str, str]:
    plans = plans_of(method.rules(), line)
    return {rule.where.kind.value: plan.strip for rule, plan in plans.items()}


def strip(steps: int, reuses: Callable[[int], bool]) -> str:
    return "".join("R" if step and reuses(step) else "C" for step in range(steps))


def test_no_preset_hides_another_of_its_name() -> None:
    assert {method: len(table) for method, table in TABLES.items()} == SIZES
    assert set(TABLES) < set(METHODS)


@every_preset
def test_a_preset_is_named_in_the_report_and_in_its_rules(made: Method) -> None:
    name = str(made.preset)
    assert f"preset {name}" in made.describe()
    assert {rule.owner for rule in made.rules()} == {f'{made.name}, preset "{name}"'}


@every_preset
def test_a_preset_requires_what_it_reuses_and_says_what_to_do_instead(made: Method) -> None:
    rules = {rule.where.kind: rule for rule in made.rules()}
    required = {kind for kind, rule in rules.items() if rule.is_required}
    assert required == made.preset.kinds
    own = {rule.where.kind for rule in type(made)().rules() if rule.is_required}
    for kind in required:
        assert not rules[kind].when.never_reuses, f"{kind} is required but left alone"
        assert kind in own or 'preset "custom"' in rules[kind].remedy


@pytest.mark.parametrize("method", [PAB, FasterCache])
def test_settings_of_ones_own_require_no_kind_of_layer(method: type[Method]) -> None:
    assert not any(rule.is_required for rule in method().rules())


# PAB: its authors list timesteps. Here are those of each run.

SHIFT = (480 * 854 / 512**2 * 15) ** 0.5
"""Open-Sora 1.2 shifts by area and by length; 2 s are 15 latent frames."""


def open_sora(t: float) -> int:
    """A shifted timestep, rounded to the multiple of 4 that bfloat16 has from 512 to 1023."""
    return round(250 * SHIFT * t / (1 + (SHIFT - 1) * t)) * 4


OPEN_SORA = [open_sora(1 - i / 30) for i in range(30)]
OPEN_SORA_PLAN = list(range(894, -1, -6))
LATTE = list(range(980, -1, -20))
COGVIDEOX = list(range(999, 0, -20))


@pytest.mark.parametrize(
    ("name", "timesteps", "low", "high", "ranges", "starts"),
    [
        ("Open-Sora 1.2", OPEN_SORA, 450, 930, (2, 4, 6), {864, 788, 676}),
        ("Open-Sora-Plan 1.1", OPEN_SORA_PLAN, 100, 850, (2, 4, 6), set(range(426, 739, 24))),
        ("Latte", LATTE, 100, 800, (2, 3, 6), {720, 640, 560, 480, 400}),
        ("CogVideoX", COGVIDEOX, 100, 850, (2, 1, 1), set()),
    ],
)
def test_pab_does_what_its_authors_timesteps_mean(
    name: str,
    timesteps: list[int],
    low: int,
    high: int,
    ranges: tuple[int, int, int],
    starts: set[int],
) -> None:
    steps = len(timesteps)
    assert starts <= set(timesteps), "otherwise this is not the run that they were written for"
    planned = strips(PAB_PRESETS[name], Timeline.even(steps))
    kinds = ("self_attention", "temporal_attention", "cross_attention")
    for kind, period in zip(kinds, ranges, strict=True):
        assert planned[kind] == strip(
            steps, lambda i, n=period: i % n != 0 and low < timesteps[i] < high
        )
    assert planned.get("feed_forward", "C" * steps) == strip(
        steps, lambda i: bool(set(timesteps[max(i - 2, 0) : i]) & starts)
    )


@pytest.mark.parametrize(
    ("name", "ranges", "window"),
    [("Open-Sora-Plan 1.2", (2, 1, 6), "0.15-0.9"), ("Vchitect-2.0", (2, 4, 6), "0.2-0.9")],
)
def test_pab_for_runs_whose_timesteps_are_not_published(
    name: str, ranges: tuple[int, int, int], window: str
) -> None:
    made = PAB_PRESETS[name]
    assert (made.self_attention, made.temporal_attention, made.cross_attention) == ranges
    assert str(made.window) == window
    assert made.feed_forward_starts == ()


# FasterCache: its scripts count calls from 1, but for Mochi's. F is a step of both branches.

LATTE_GUIDANCE = "FFFFFFFFFFFFFFFFFccFccccFccccFccccFccccFccccFccccF"
TRACES = {
    "Open-Sora 1.2": ("FFFFFFFFFFFcccFccccFccccFccccF", "CCCCCCCrCrCrCrCrCrCrCrCrCrCrCr"),
    "Latte": (LATTE_GUIDANCE, "CCCCCCCCCCCCCCCrCrCCCrCrCrCrCCCrCrCrCrCCCrCrCrCrCC"),
    "CogVideoX": (LATTE_GUIDANCE, "CCCCCCCCCCCCCCCCCCrCCrrCCrCrrCrrCrCCrrCCrCrrCrrCrC"),
}


@pytest.mark.parametrize("name", TRACES)
def test_fastercache_runs_both_branches_where_the_script_does(name: str) -> None:
    trace, _ = TRACES[name]
    planned = strips(FASTERCACHE_PRESETS[name], Timeline.even(len(trace)))
    assert planned["guidance"].replace("C", "F").replace("R", "c") == trace


@pytest.mark.parametrize("name", ["Latte", "CogVideoX"])
def test_fastercache_reuses_attention_where_the_script_does(name: str) -> None:
    _, trace = TRACES[name]
    planned = strips(FASTERCACHE_PRESETS[name], Timeline.even(len(trace)))
    assert planned["self_attention"] == trace.upper()


def test_open_soras_script_reuses_twice_what_it_does_not_have() -> None:
    # At these steps both branches run, and the newest output is one of a single branch.
    _, trace = TRACES["Open-Sora 1.2"]
    planned = strips(FASTERCACHE_PRESETS["Open-Sora 1.2"], Timeline.even(30))["self_attention"]
    differing = [i for i, (a, b) in enumerate(zip(planned, trace.upper(), strict=True)) if a != b]
    assert differing == [19, 29]
    assert planned[19] == planned[29] == "C"


@pytest.mark.parametrize(
    ("name", "steps", "guidance", "attention"),
    [
        (
            "Open-Sora-Plan 1.1", 150,
            lambda i: i + 1 >= 40 and (i + 1) % 6 != 0,
            lambda i: i + 1 >= 45 and (i + 1) % 3 != 0,
        ),
        (
            "Vchitect-2.0", 100,
            lambda i: i + 1 > 30 and (i + 1) % 5 != 0,
            lambda i: i + 1 > 30 and (i + 1) % 2 == 0,
        ),
        (
            "Mochi", 64,
            lambda i: i >= 22 and i % 5 != 0 and i != 63,
            lambda i: i >= 20 and i % 2 == 0,
        ),
    ],
)  # fmt: skip
def test_fastercache_follows_the_scripts_without_a_recorded_trace(
    name: str, steps: int, guidance: Callable[[int], bool], attention: Callable[[int], bool]
) -> None:
    planned = strips(FASTERCACHE_PRESETS[name], Timeline.even(steps))
    assert planned["guidance"] == strip(steps, guidance)
    # The newest output has to be of every branch that runs now, as the script's guard has it.
    expected, source = "C", 0
    for step in range(1, steps):
        has_both = guidance(step) or not guidance(source)
        expected += "R" if attention(step) and has_both else "C"
        source = step if expected[-1] == "C" else source
    assert planned["self_attention"] == expected


@pytest.mark.parametrize(
    ("name", "steps", "gains", "is_low", "is_high"),
    [
        ("Open-Sora 1.2", 30, (1.15, 1.15), lambda c: c <= 25, lambda c: c >= 20),
        ("Latte", 50, (1.1, 1.1), lambda c: c < 45, lambda c: c >= 45),
        ("CogVideoX", 50, (1.1, 1.1), lambda c: c <= 40, lambda c: c >= 30),
        ("Open-Sora-Plan 1.1", 150, (1.1, 1.2), lambda c: c <= 130, lambda c: c > 130),
        ("Vchitect-2.0", 100, (1.05, 1.1), lambda c: c < 80, lambda c: c > 60),
        ("Mochi", 64, (1.15, 1.25), lambda c: c - 1 <= 50, lambda c: c - 1 >= 30),
    ],
)
def test_fastercache_amplifies_each_band_where_the_script_does(
    name: str,
    steps: int,
    gains: tuple[float, float],
    is_low: Callable[[int], bool],
    is_high: Callable[[int], bool],
) -> None:
    made, line = FASTERCACHE_PRESETS[name], Timeline.even(steps)
    assert (made.low_gain, made.high_gain) == gains
    assert made.compounds
    for step in range(steps):
        clock = line.clock(step)
        assert made.low_window.may_reuse(clock) == is_low(step + 1), step
        assert made.high_window.may_reuse(clock) == is_high(step + 1), step


@pytest.mark.parametrize("name", TRACES)
def test_windows_do_not_depend_on_how_a_scheduler_rounds(name: str) -> None:
    made, steps = FASTERCACHE_PRESETS[name], len(TRACES[name][0])
    percents = tuple(int(i * 1000 / steps) / 999 for i in range(steps))
    rounded = Timeline((*(1 - p for p in percents), 0.0), (None,) * steps, percents)
    assert strips(made, rounded) == strips(made, Timeline.even(steps))


# T-GATE, DeepCache and FORA.


def steps_in(name: str) -> int:
    return int(name.rpartition("(")[2].removesuffix(" steps)"))


def test_tgate_presets_reach_the_gate_in_the_steps_of_their_name() -> None:
    for name, made in TGATE_PRESETS.items():
        planned = strips(made, Timeline.even(steps_in(name)))["guidance"]
        assert planned.count("C") == made.gate_step < len(planned), name


def test_svd_is_finished_by_the_conditional_branch() -> None:
    kept = {name for name, made in TGATE_PRESETS.items() if made.kept == "cond"}
    assert kept == {name for name in TGATE_PRESETS if name.startswith("SVD")}


def test_deepcache_lists_exist_for_the_steps_of_their_name() -> None:
    gathered = {name: made for name, made in DEEPCACHE_PRESETS.items() if not made.uniform}
    assert len(gathered) == 1 + 2 * 7 + 5
    for name, made in gathered.items():
        planned = strips(made, Timeline.even(steps_in(name)))["deep_branch"]
        assert planned.count("C") == -(-len(planned) // made.interval), name


def test_deepcache_demo_of_sd15_computes_the_published_steps() -> None:
    made = DEEPCACHE_PRESETS["SD1.5 demo: interval 5, non-uniform (50 steps)"]
    planned = strips(made, Timeline.even(50))["deep_branch"]
    full = [step for step, letter in enumerate(planned) if letter == "C"]
    assert full == [0, 5, 9, 13, 17, 21, 26, 31, 37, 43]
    assert made.branch == 1, "layer (0, 0) of the scripts"


def test_fora_is_the_shipped_schedule() -> None:
    planned = strips(fora("FORA: every 2nd step", 30), Timeline.even(30))
    assert planned == dict.fromkeys(
        ("self_attention", "joint_attention", "feed_forward"), "CR" * 14 + "CC"
    )
    planned = strips(fora("FORA: every 3rd step", 11), Timeline.even(11))
    assert planned["feed_forward"] == "CRRCRRCRRCC"


@pytest.mark.parametrize("label", FORA_SCHEDULES)
def test_fora_always_computes_the_first_and_the_last_step(label: str) -> None:
    for steps in range(1, 40):
        (planned,) = set(strips(fora(label, steps), Timeline.even(steps)).values())
        assert (planned[0], planned[-1]) == ("C", "C")
        assert max(map(len, planned.split("C"))) < FORA_SCHEDULES[label][0]


def test_fora_needs_steps() -> None:
    message = "steps is -1; expected the steps of the sampler, or 0 to follow those of the run"
    with pytest.raises(ConfigError, match=message):
        fora("FORA: every 2nd step", -1)


@pytest.mark.parametrize("label", FORA_SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 20, 50])
def test_with_steps_0_a_uniform_schedule_is_that_of_the_run(label: str, steps: int) -> None:
    following = uniform(label)
    assert following.fitted(Timeline.even(steps)) == fora(label, steps)
    assert following.rules() == fora(label, 20).rules()
    assert label in following.describe()
