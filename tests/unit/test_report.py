"""The report: what happened in a run, and why."""

from __future__ import annotations

import json

import pytest
from clocks import HandClock
from stepcache.cache_core.decisions import NOT_STORED, TOO_OLD
from stepcache.cache_core.estimate import Observation
from stepcache.cache_core.report import REPORT_VERSION, Report
from stepcache.cache_core.sites import SiteKind

SELF = "self_attention"
CROSS = "cross_attention"


def report(**plans: str) -> Report:
    """A report with these plans by kind."""
    return Report(["Apply PAB (self_attention 2)"], "Wan (WAN21)", "euler", plans, None, {}, [])


def finished_run() -> Report:
    """Four steps: self-attention computed 6 times and reused 3 times; 25 % of 12 altogether."""
    run = report(self_attention="CRCR", cross_attention="CCCC")
    for step in range(3):
        run.start_evaluation(step)
    run.count(SELF, 0, reused=False, streams=2)
    run.count(SELF, 1, reused=True, streams=2)
    run.count(SELF, 2, reused=False, streams=3)
    run.count(SELF, 2, reused=True, streams=1)
    run.count(SELF, 3, reused=False, streams=1, forced=NOT_STORED)
    run.count(CROSS, 0, reused=False, streams=3)
    run.finish("finished", 3 * 2**20)
    return run


def test_a_strip_has_one_letter_per_step() -> None:
    run = report(self_attention="CRRR")
    run.count(SELF, 0, reused=False, streams=1)
    run.count(SELF, 1, reused=True, streams=1)
    run.count(SELF, 2, reused=False, streams=1)
    run.count(SELF, 2, reused=True, streams=1)
    assert run.strip_of(SELF) == "CRP."


def test_a_strip_is_of_one_kind() -> None:
    run = report(self_attention="CR", cross_attention="CC")
    run.count(SELF, 1, reused=True, streams=1)
    assert (run.strip_of(SELF), run.strip_of(CROSS)) == (".R", "..")


def test_counts_add_up() -> None:
    run = finished_run()
    assert (run.steps, run.evaluations) == (4, 3)
    assert (run.total_computed, run.total_reused) == (2 + 3 + 1 + 3, 2 + 1)
    assert run.forced == {(SELF, NOT_STORED): 1}
    assert run.strip_of(SELF) == "CRPC"


def test_a_run_that_reused_needs_no_excuse() -> None:
    assert finished_run().nothing_reused_because is None


def test_a_run_that_never_began_says_so() -> None:
    assert report(self_attention="CR").nothing_reused_because == (
        "the sampler never called the model"
    )


def test_settings_that_plan_no_reuse_are_named_with_a_remedy() -> None:
    run = report(self_attention="CCCC", cross_attention="CCCC")
    run.start_evaluation(0)
    run.count(SELF, 0, reused=False, streams=1)
    because = run.nothing_reused_because
    assert because is not None
    assert because.startswith("the settings plan no reuse in these 4 steps")
    assert "raise the interval" in because


def test_layers_that_were_never_called_are_named() -> None:
    run = report(self_attention="CR")
    run.start_evaluation(0)
    run.start_evaluation(1)
    because = run.nothing_reused_because
    assert because is not None
    assert because.startswith("the layers were never called: another extension answered")


def test_forced_computes_are_named_the_most_frequent_first() -> None:
    run = report(self_attention="CRR")
    for step in range(3):
        run.start_evaluation(step)
    run.count(SELF, 0, reused=False, streams=1)
    run.count(SELF, 1, reused=False, streams=1, forced=TOO_OLD)
    run.count(SELF, 2, reused=False, streams=2, forced=NOT_STORED)
    assert run.nothing_reused_because == (
        f"every planned reuse had to be computed: {NOT_STORED} (2x), {TOO_OLD} (1x)"
    )
    # It goes to the log, and many a console's code page lacks ×: 437, 866, 1251.
    assert run.summary().isascii()


def test_a_sampler_that_left_the_steps_out_is_named() -> None:
    run = report(self_attention="CR")
    run.start_evaluation(0)
    run.count(SELF, 0, reused=False, streams=1)
    assert run.nothing_reused_because == (
        "the sampler visited none of the steps in which reuse was planned"
    )


def test_json_says_what_the_report_says() -> None:
    run = finished_run()
    run.notes = ["no temporal_attention"]
    data = json.loads(run.to_json())
    assert data == run.to_dict()
    seconds, step_seconds = data.pop("seconds"), data.pop("step_seconds")
    assert len(step_seconds) == 4
    assert sum(step_seconds) == pytest.approx(seconds, abs=1e-5)
    assert data == {
        "version": 1,
        "methods": ["Apply PAB (self_attention 2)"],
        "family": "Wan (WAN21)",
        "sampler": "euler",
        "outcome": "finished",
        "steps": 4,
        "evaluations": 3,
        "peak_bytes": 3 * 2**20,
        "step_bytes": [0, 0, 0, 0],
        "kinds": {
            SELF: {"plan": "CRCR", "strip": "CRPC", "computed": 6, "reused": 3},
            CROSS: {"plan": "CCCC", "strip": "C...", "computed": 3, "reused": 0},
        },
        "computed": 9,
        "reused": 3,
        "forced": [{"kind": SELF, "reason": NOT_STORED, "count": 1}],
        "timeline": None,
        "layers": {},
        "notes": ["no temporal_attention"],
        "predicted": None,
        "changes": None,
        "measured_speedup": None,
        "observed": None,
        "nothing_reused_because": None,
    }


def test_json_carries_the_version_that_readers_check() -> None:
    assert json.loads(report().to_json())["version"] == REPORT_VERSION == 1


def test_an_unfinished_run_can_be_written_too() -> None:
    data = json.loads(report(self_attention="CR").to_json())
    assert data["outcome"] == "running"
    assert data["step_seconds"] == [0.0, 0.0]
    assert data["kinds"][SELF]["strip"] == ".."


def test_the_summary_is_one_line_with_the_numbers() -> None:
    run = finished_run()
    run.seconds = 1.5
    assert run.summary() == (
        "Step Cache: Apply PAB (self_attention 2) on Wan (WAN21): reused 3 of 12 (25 %) "
        "in 3 evaluations, 1.50 s, 3.0 MiB"
    )


def test_the_summary_of_a_stopped_run_says_so_and_stays_one_line() -> None:
    run = report(self_attention="CR")
    run.finish("stopped by InterruptProcessingException", 0)
    summary = run.summary()
    assert "reused 0 of 0 (0 %)" in summary
    assert "; stopped by InterruptProcessingException; nothing reused: the sampler" in summary
    assert "\n" not in summary


def test_seconds_belong_to_the_step_of_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    monkeypatch.setattr("stepcache.cache_core.report.perf_counter", clock)
    run = report(self_attention="CRRR")
    for step, seconds in ((0, 1.0), (2, 2.0), (2, 4.0)):
        run.start_evaluation(step)
        clock.move(seconds)
    assert run.step_seconds == {0: 1.0, 2: 2.0}
    run.finish("finished", 0)
    assert run.step_seconds == {0: 1.0, 2: 6.0}, "the last evaluation ends with the run"
    assert run.seconds == 7.0


def test_the_text_shows_the_plan_where_it_was_not_kept() -> None:
    run = report(self_attention="CR", cross_attention="CC")
    run.notes = ["no temporal_attention"]
    for kind in (SELF, CROSS):
        run.count(kind, 0, reused=False, streams=1)
        run.count(kind, 1, reused=False, streams=1, forced=NOT_STORED if kind == SELF else None)
    lines = run.to_text().splitlines()
    assert lines[1] == "note: no temporal_attention"
    assert lines[3:7] == [
        "self_attention   CC",
        "        planned  CR",
        "cross_attention  CC",
        "",
    ]
    assert lines[-1] == f"computed although reuse was planned: self_attention, 1×, {NOT_STORED}"


# What was expected of a run, and what it showed.


def timed(strip: str, seconds: list[float]) -> Report:
    """A run whose steps took so long; a letter R reused."""
    run = report(self_attention=strip)
    for step, letter in enumerate(strip):
        run.count(SELF, step, reused=letter == "R", streams=1)
        run.step_seconds[step] = seconds[step]
    run.evaluations, run.seconds = len(strip), sum(seconds)
    part = SiteKind.SELF_ATTENTION, None
    each = zip(strip, seconds, strict=True)
    steps = [({part: float(letter == "R")}, n, 0.0) for letter, n in each]
    run.observed = Observation.of(steps, {})
    return run


def test_a_speedup_is_measured_by_the_steps_that_computed_everything() -> None:
    """Two of 2 s, so that five would have taken 10; the first one warms up and does not count."""
    assert timed("CRCRC", [9.0, 1.0, 2.0, 1.0, 2.0]).measured_speedup == pytest.approx(10 / 15)
    assert timed("CRRR", [2.0, 1.0, 1.0, 1.0]).measured_speedup == pytest.approx(8 / 5)
    assert timed("RRRR", [1.0] * 4).measured_speedup is None


def test_a_speedup_leaves_out_what_asking_layers_takes() -> None:
    """Steps that compute everything take a quarter more than plain ones."""
    run = timed("CRCRC", [9.0, 1.0, 2.0, 1.0, 2.0])
    run.dispatch_overhead = 0.25
    assert run.measured_speedup == pytest.approx(8 / 15)


def test_a_speedup_is_not_measured_where_steps_are_evaluated_more_than_once() -> None:
    run = timed("CRC", [2.0, 1.0, 2.0])
    run.evaluations = 5
    assert run.measured_speedup is None
    assert "measured" not in run.to_text()


def test_what_was_predicted_stands_beside_what_was_measured() -> None:
    run = timed("CRC", [2.0, 1.0, 2.0])
    run.predicted, run.changes = (
        {"speedup": 1.5, "flop_bound": None, "error": 0.0123},
        (0.1, 0.0875),
    )
    text = run.to_text()
    assert "predicted: 1.50× faster, 1.2 % error" in text
    assert "measured: 1.20× faster than if all steps computed everything" in text
    assert "when computed again: predicted 10.0 %, measured 8.8 %" in text
    data = json.loads(run.to_json())
    assert data["predicted"] == {"speedup": 1.5, "flop_bound": None, "error": 0.0123}
    assert (data["changes"], data["measured_speedup"]) == ([0.1, 0.0875], 1.2)
