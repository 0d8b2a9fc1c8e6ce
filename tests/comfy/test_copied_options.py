"""Other nodes copy a model's options deeply, when they are executed and while sampling."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import cases
import pytest
import torch
import toys
from calibrating import STEPS, calibrate
from comfy.patcher_extension import WrappersMP
from stepcache.audit.run_probe import RunProbe
from stepcache.cache_core.calibration import Study, Target
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.run import RUN_KEY
from stepcache.cache_core.methods import PAB, Calibrate, CalibratedSmoothCache
from stepcache.previews.live import listener_of
from stepcache.torch_settings.attention import AttentionBackend
from stepcache.torch_settings.precision import Precision
from stepcache.torch_settings.setting import apply, told_by

STEPS_HERE = 6
REUSING = PAB(2, 3, 3, cases.WHOLE_RUN)


def _deliver(calibration: Any) -> Any:
    return calibration, ()


METHODS = {
    **{method: build("sd15").reusing(STEPS_HERE) for method, build in cases.BUILDERS.items()},
    "Calibrate": Calibrate(Study(_deliver)),
}


def _sample(model: Any, name: str) -> torch.Tensor:
    return toys.sample(model, name, steps=STEPS_HERE, latent=toys.TOYS[name].empty(size=12))


def _copied(model: Any, copying: Any) -> Any:
    """A clone as nodes make it that do not want to share the options."""
    clone = model.clone()
    clone.model_options = copying(model.model_options)
    return clone


def _pickled(options: Any) -> Any:
    return pickle.loads(pickle.dumps(options))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("copying", [copy.deepcopy, _pickled], ids=["deepcopy", "pickle"])
def test_a_copy_samples_as_the_original_before_and_after_a_run(copying: Any, method: str) -> None:
    model = attach(toys.load("sd15"), METHODS[method], listener_of("StepCacheApplyPAB", "7"))
    before = _copied(model, copying)
    picture = _sample(model, "sd15")
    after = _copied(model, copying)
    for each in (before, after):
        assert torch.equal(_sample(each, "sd15"), picture)
        assert last_report(each).total_reused == last_report(model).total_reused
        assert last_report(each).total_computed == last_report(model).total_computed


def test_a_deep_copy_leaves_its_report_where_the_original_looks_for_it() -> None:
    model = attach(toys.load("wan"), REUSING)
    _sample(_copied(model, copy.deepcopy), "wan")
    assert last_report(model) is not None


def test_what_is_pickled_begins_without_a_report() -> None:
    model = attach(toys.load("wan"), REUSING)
    _sample(model, "wan")
    assert last_report(_copied(model, _pickled)) is None


@pytest.mark.parametrize("copying", [copy.deepcopy, _pickled], ids=["deepcopy", "pickle"])
def test_a_schedule_by_calibration_can_be_copied(copying: Any) -> None:
    method = CalibratedSmoothCache(calibrate("wan").calibration, Target("speedup", 1.5))
    model = attach(toys.load("wan"), method)
    picture = toys.sample(model, "wan", steps=STEPS)
    assert torch.equal(toys.sample(_copied(model, copying), "wan", steps=STEPS), picture)


PLACES = {
    "PREDICT_NOISE": (WrappersMP.PREDICT_NOISE, 2),
    "CALC_COND_BATCH": (WrappersMP.CALC_COND_BATCH, 4),
    "SAMPLER_SAMPLE": (WrappersMP.SAMPLER_SAMPLE, 2),
    "APPLY_MODEL": (WrappersMP.APPLY_MODEL, 5),
}
"""Where other nodes get at the options of a run, and at which position they stand there."""


def _copying_inside(model: Any, place: str) -> Any:
    clone, (where, position) = model.clone(), PLACES[place]

    def copying(executor: Any, *args: Any, **kwargs: Any) -> Any:
        given = list(args)
        given[position] = copy.deepcopy(given[position])
        return executor(*given, **kwargs)

    clone.add_wrapper_with_key(where, "copies", copying)
    return clone


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["FasterCache", "Calibrate"])
def test_copied_while_sampling_the_run_goes_on(method: str, place: str) -> None:
    """In front of our wrappers and behind them."""
    picture = _sample(attach(toys.load("wan"), METHODS[method]), "wan")
    for model in (
        _copying_inside(attach(toys.load("wan"), METHODS[method]), place),
        attach(_copying_inside(toys.load("wan"), place), METHODS[method]),
    ):
        assert torch.equal(_sample(model, "wan"), picture)
        assert last_report(model).evaluations == STEPS_HERE


def test_pickled_while_sampling_a_run_is_left_out() -> None:
    found: list[Any] = []
    model = attach(toys.load("wan"), REUSING)

    def pickling(executor: Any, x: Any, t: Any, options: Any, *rest: Any) -> Any:
        held = options["transformer_options"]
        found.append((held[RUN_KEY], _pickled({RUN_KEY: held[RUN_KEY]})[RUN_KEY]))
        return executor(x, t, options, *rest)

    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "pickles", pickling)
    _sample(model, "wan")
    assert all(run is not None and copied is None for run, copied in found)
    assert len(found) == STEPS_HERE


def test_settings_of_pytorch_can_be_copied_at_any_time() -> None:
    model = apply(apply(toys.load("wan"), Precision()), AttentionBackend("math"))
    picture = _sample(model, "wan")
    for copying in (copy.deepcopy, _pickled):
        assert torch.equal(_sample(_copied(model, copying), "wan"), picture)
    inside = _copying_inside(model, "PREDICT_NOISE")
    assert torch.equal(_sample(inside, "wan"), picture)
    assert told_by(inside) == told_by(model)


def test_who_looks_at_a_run_can_be_copied_with_its_options() -> None:
    class Counting(RunProbe):
        evaluations = 0

        def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
            self.evaluations += 1
            return executor(*args, **kwargs)

    hearing = Counting()
    _sample(_copied(hearing.on(toys.load("wan")), copy.deepcopy), "wan")
    assert hearing.evaluations == STEPS_HERE
