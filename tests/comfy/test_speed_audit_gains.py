"""What following a line of Speed Audit gains: measured by turns, or estimated."""

from __future__ import annotations

from typing import Any

import observe
import pytest
import torch
import toys
from clocks import counted_time
from stepcache import torch_settings
from stepcache.audit import caches, settings
from stepcache.audit.ab_test import AbResult, AbTest
from stepcache.audit.audit import Recommendation
from stepcache.audit.interleaved_runs import Compared, Rounds
from stepcache.audit.timing import Timed
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.estimate import Observation, Seen
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import PercentRange
from stepcache.nodes.speed_audit import suggestions

STEPS = 4


def timed(seconds: float, evaluations: int) -> Timed:
    return Timed(
        seconds=seconds, loading=0.0, model=seconds - 2, evaluations=evaluations, calls=evaluations,
        has_two_branches=True, latent=(1,), nbytes=0, memory="", compiled={}, sigmas=(1.0, 0.0),
    )  # fmt: skip


def test_every_run_with_something_else_stands_between_two_as_it_is() -> None:
    """Of other seconds for every run: what counts is the middle of the ratios."""
    taken = iter([8.0, 9.0, 4.5, 9.0, 6.0, 9.0, 3.0, 9.0])
    order: list[Any] = []

    def sample(model: Any, steps: int, last: int | None = None, sampler: str | None = None) -> Any:
        order.append((model, last))

    class Clocked(Rounds):
        def _timed(self, model: Any, last: int | None = None) -> tuple[Any, Timed]:
            self._sample(model, self._steps, last)
            return None, timed(next(taken), 20)

    rounds = Clocked("as it is", sample, 20)
    rounds.count = 3
    found = rounds.against({"other": "other"}, in_part="other")["other"]
    assert order == [(name, None) for name in ["as it is", *["as it is", "other"] * 3, "as it is"]]
    assert found == Compared(gain=2.0, wins=1.0, rounds=3) and found.is_faster
    assert rounds.middle().seconds == 9.0
    taken = iter([20.0, 5.0])
    order.clear()
    long = Clocked("as it is", sample, 20)
    found = long.against({"other": "other"}, in_part="other")["other"]
    assert long.count == 1 and order == [("as it is", None), ("other", 5)]
    assert found.gain == 4.0, "of as many evaluations here"


def test_a_settings_gain_is_that_of_the_whole_run() -> None:
    setting, tried = (
        torch_settings.AttentionBackend("auto"),
        AbResult(ratio=0.6, wins=1.0, rounds=3),
    )
    gain = settings._gain(setting, tried, timed(12.0, 20), None)
    assert gain == pytest.approx(12 / (12 - 0.4 * 10)), "the sampler does not become faster"
    model = attach(toys.load("wan"), PAB(2, 1, 2, PercentRange(0.0, 1.0)))
    toys.sample(model, "wan", steps=STEPS)
    report = last_report(model)
    computed = report.total_computed / (report.total_computed + report.total_reused)
    assert 0 < computed < 1
    report.observed = Observation((Seen({}, 0.45, 9),), {})
    cached = settings._gain(setting, tried, timed(12.0, 20), report)
    assert cached == pytest.approx(12 / (12 - 0.4 * 0.45 * 20 * computed)), "less is left to gain"


def test_what_lost_too_often_is_not_sure() -> None:
    trying = AbTest({})
    trying.plain = 1.0
    trying.tried = {"a": AbResult(0.5, 1.0, 5), "b": AbResult(0.5, 0.6, 5)}
    option = settings.Option(torch_settings.FusedProjections(), "", "It may")
    found = settings.gains({"a": option, "b": option}, trying, timed(4.0, 4), None)
    assert [each.is_sure for each in found] == [True, False]
    assert [each.gain for each in found] == [pytest.approx(4 / 3)] * 2


def test_a_cache_is_estimated_from_the_seconds_of_its_layers() -> None:
    """Of an even run: self-attention in every second step, of a known share of the time."""
    model = toys.load("wan")

    def measure(measured: Any, steps: int) -> None:
        toys.sample(measured, "wan", steps=steps)

    with counted_time():
        costs = caches.costs_of(model, measure, None, 0.5)
    shares = {str(kind): share for (kind, _), share in costs.calibration.costs.seconds.items()}
    offers = caches.offers(model, costs, Timeline.even(20), suggestions(), has_one_branch=False)
    found = {each.suggestion.name: each for each in offers}
    assert found.keys() >= {
        "Apply PAB (as it comes)", "Apply PAB (block 2)", "Apply FasterCache (as it comes)",
    }  # fmt: skip
    assert "DeepCache UNet (as it comes)" not in found, "no UNet"
    blocks = found["Apply PAB (block 2)"]
    report_model = blocks.model
    toys.sample(report_model, "wan", steps=20, scheduler="normal")
    reused = last_report(report_model).plans["block"].count("R")
    assert 0 < reused < 20
    assert blocks.speedup == pytest.approx(20 / (20 - reused * shares["block"]), rel=1e-3)


def test_a_model_without_settings_samples_as_before_they_were_set() -> None:
    plain = toys.load("wan")
    model = torch_settings.apply(
        torch_settings.apply(plain, torch_settings.AttentionBackend("math")),
        torch_settings.FusedProjections(),
    )
    bare = torch_settings.without(model)
    assert torch_settings.settings_of(bare) == () and len(torch_settings.settings_of(model)) == 2
    assert observe.fingerprint(bare) == observe.fingerprint(plain)
    expected = toys.sample(plain, "wan", steps=STEPS)
    assert torch.equal(toys.sample(bare, "wan", steps=STEPS), expected)
    assert not torch.equal(toys.sample(model, "wan", steps=STEPS), expected), "settings round"


def test_a_recommendation_is_one_sentence_with_all_it_needs() -> None:
    each = Recommendation("Precision", "products TF32", 1.234, "3 evaluations", "Compare.", True)
    assert str(each) == "Precision, products TF32: about 1.23x as fast (3 evaluations). Compare."
    assert each.name == "Precision (products TF32)"
