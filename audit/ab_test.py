"""What settings would save, found out by asking for one evaluation again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import torch
from comfy.model_management import InterruptProcessingException
from comfy.model_patcher import create_model_options_clone
from comfy.samplers import CFGGuider

from ..cache_core.errors import StepCacheError
from ..cache_core.host.intercept.module_swap import ModuleSwap
from ..cache_core.host.model_call import ModelCall
from ..torch_settings.fusing import FusedProjections
from ..torch_settings.int8 import DynamicInt8
from ..torch_settings.setting import Setting, Watch, in_force
from .run_probe import RunProbe
from .timing import wait_for

LOG = logging.getLogger("stepcache")

WATCH = "stepcache_trial"
"""Under this key stands the setting that is being tried, in the options of its evaluation."""
COPIES = (FusedProjections, DynamicInt8)
"""Settings that copy weights, which takes long; they touch no evaluation but their own."""
MIN_ROUNDS, MAX_ROUNDS = 3, 15
LONG = 2.0
"""Seconds of plain evaluations that are enough."""


@dataclass(frozen=True, slots=True)
class AbResult:
    """What one setting did to an evaluation.

    Args:
        ratio: seconds with it ÷ mean seconds of plain ones before and after it; the median.
        wins: share of the rounds in which it was faster, 0 … 1.
        rounds: how often it was tried.
    """

    ratio: float
    wins: float
    rounds: int


class AbTest(RunProbe):
    """Asks for the second evaluation of a run again, with each setting in turn.

    The answers are thrown away: the run goes on with what it asked for itself.

    Args:
        settings: what is tried, by name.
    """

    def __init__(self, settings: dict[str, Setting]) -> None:
        self._settings = settings
        self._evaluations = 0
        self.plain: float | None = None
        """Median seconds of an evaluation as it is; None where there was none."""
        self.tried: dict[str, AbResult] = {}
        self.failed: dict[str, str] = {}
        """Why a setting could not be tried, in words."""
        self.one_branch: AbResult | None = None
        """The evaluation without the branch of the negative prompt, where both run."""

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self._evaluations += 1
        if self._evaluations == 2:
            self._try(executor, args, kwargs)
        return executor(*args, **kwargs)

    def apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        compute = partial(executor, *args, **kwargs)
        watch: Watch | None = ModelCall(args, kwargs).options.get(WATCH)
        if watch is None:
            return compute()
        with in_force([watch]):
            return watch.call(compute, executor.class_obj)

    def _try(self, executor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        guider = executor.class_obj
        given = kwargs["model_options"] if "model_options" in kwargs else args[2]
        device = torch.device(guider.model_patcher.load_device)

        def evaluate(options: dict[str, Any]) -> float:
            if "model_options" in kwargs:
                call = partial(executor, *args, **{**kwargs, "model_options": options})
            else:
                call = partial(executor, *args[:2], options, *args[3:], **kwargs)
            wait_for(device)
            started = perf_counter()
            call()
            wait_for(device)
            return perf_counter() - started

        with ExitStack() as stack:
            turns: dict[str, Callable[[], float]] = {}
            for name, setting in self._settings.items():
                if isinstance(setting, COPIES):
                    try:
                        options = stack.enter_context(_in_force(setting, guider, given))
                    except StepCacheError as error:
                        self.failed[name] = str(error)
                        continue
                    turns[name] = partial(evaluate, options)
                else:
                    turns[name] = partial(_turn, setting, guider, given, evaluate)
            if _may_leave_a_branch_out(guider, given):
                turns[""] = partial(_one_branch, guider, given, evaluate)
            self._rounds(partial(evaluate, create_model_options_clone(given)), turns)

    def _rounds(self, plain: Callable[[], float], turns: dict[str, Callable[[], float]]) -> None:
        """Every setting between plain ones, so that what disturbs it disturbs them as well."""
        first = plain()
        for name in list(turns):
            # The first one makes kernels ready, and shows whether it works.
            try:
                turns[name]()
            except InterruptProcessingException:
                raise
            except Exception as error:
                LOG.info("Speed Audit: %s could not be tried: %s", name, str(error))
                self.failed[name] = f"{type(error).__name__}: {error}"
                del turns[name]
        count = max(min(round(LONG / max(first, 1e-6)), MAX_ROUNDS), MIN_ROUNDS)
        base = [plain()]
        ratios: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(count):
            seconds = {name: turn() for name, turn in turns.items()}
            base.append(plain())
            for name, each in seconds.items():
                ratios[name].append(2 * each / (base[-2] + base[-1]))
        found = {name: _tried(each) for name, each in ratios.items()}
        self.plain = median(base)
        self.one_branch = found.pop("", None)
        self.tried = found


def _tried(ratios: Sequence[float]) -> AbResult:
    wins = sum(ratio < 1 for ratio in ratios) / len(ratios)
    return AbResult(median(ratios), wins, len(ratios))


def _turn(
    setting: Setting,
    guider: Any,
    given: dict[str, Any],
    evaluate: Callable[[dict[str, Any]], float],
) -> float:
    """One evaluation in which a setting is in force."""
    with _in_force(setting, guider, given) as options:
        return evaluate(options)


@contextmanager
def _in_force(setting: Setting, guider: Any, given: dict[str, Any]) -> Generator[dict[str, Any]]:
    options = create_model_options_clone(given)
    run = SimpleNamespace(model_patcher=guider.model_patcher, model_options=options)
    with setting.scope(run) as watch:
        watch.begin()
        options["transformer_options"][WATCH] = watch
        yield options


def _may_leave_a_branch_out(guider: Any, options: dict[str, Any]) -> bool:
    """Whether the host's own guidance asks for both branches here."""
    is_hosts = getattr(type(guider), "predict_noise", None) is CFGGuider.predict_noise
    has_both = guider.conds.get("negative") is not None and guider.cfg != 1.0 if is_hosts else False
    return has_both and not options.get("disable_cfg1_optimization", False)


def _one_branch(
    guider: Any, given: dict[str, Any], evaluate: Callable[[dict[str, Any]], float]
) -> float:
    with ModuleSwap() as swap:
        swap.set(guider.__dict__, "cfg", 1.0)
        return evaluate(create_model_options_clone(given))
