"""Settings on a clone of a model: in force while it samples, and put back whatever happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from comfy.patcher_extension import WrappersMP

from ..cache_core.errors import ConfigError
from ..cache_core.host import network_of
from ..cache_core.host.comfy_compiler import COMFY_COMPILER
from ..cache_core.host.guider import has_steps, sigmas_in
from ..cache_core.host.intercept.module_swap import ModuleSwap
from ..cache_core.host.model_call import ModelCall
from ..cache_core.host.not_copied import NotCopied, NotPickled
from ..cache_core.host.settings_lock import SETTINGS_LOCK

KEY = "stepcache_speed"
"""Under this key stand our wrappers, and in ``transformer_options`` the settings."""

RUN_KEY = "stepcache_speed_run"
"""Under this key stand those who watch the run that is going on."""


class Watch(NotPickled):
    """One run in which a setting is in force; this one has nothing to look at or to tell."""

    def begin(self) -> None:
        """All settings are in force, and nothing was sampled yet.

        Raises:
            ConfigError: the run makes no sense with the setting.
        """
        return

    def change(self) -> AbstractContextManager[Any] | None:
        """Sets, for one call of the model, what PyTorch has once for the whole process.

        None if there is no such thing: then calls of other runs may go on at the same time.
        """
        return None

    def call(self, compute: Callable[[], Any], model: Any) -> Any:
        """Run one call of the model, the host's base model that holds the network."""
        return compute()

    def lines(self) -> list[str]:
        """What to tell of the run, for a person."""
        return []


class Setting(ABC):
    """Something that makes runs of a model faster. Subclasses are frozen dataclasses."""

    __slots__ = ()

    name: ClassVar[str]
    """That of its node."""

    keeps_tensors: ClassVar[bool] = False
    """Whether tensors of a call of the network outlive it, or are not asked for in every call."""

    beside: ClassVar[Mapping[str, str]] = {}
    """Names of settings that cannot stand beside it, and why, in words."""

    def check(self, model: Any) -> None:
        """Refuse a model that the setting makes no sense on.

        Args:
            model: the host's ``ModelPatcher``.

        Raises:
            StepCacheError: the reason, and what to do.
        """
        return

    def clone(self, model: Any) -> Any:
        """A clone of the host's ``ModelPatcher`` that the setting can work on."""
        return model.clone()

    @abstractmethod
    def scope(self, guider: Any) -> AbstractContextManager[Watch]:
        """In force inside of the block; left, everything is as it was.

        Args:
            guider: the host's guider, whose options are those of this run.

        Raises:
            ConfigError: the device or the model cannot do it; nothing was sampled yet.
        """


@dataclass(slots=True)
class Told(NotCopied):
    """Holds what settings said of the last run, so that a node can read it after sampling."""

    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings(NotCopied):
    """Everything set on one clone. Never edited: setting once more makes a new one.

    Args:
        all: in the order of their nodes.
        told: of the last run; shared by all clones of the clone.
    """

    all: tuple[Setting, ...]
    told: Told = field(default_factory=Told)


def apply(model: Any, setting: Setting) -> Any:
    """A clone of the model that samples with the setting.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
        setting: the setting.

    Raises:
        ConfigError: the model carries such a setting already, or one that cannot stand beside it.
        UnsupportedModelError: the input holds no diffusion network, or one that the setting makes
            no sense on.
    """
    network_of(model, setting.name)
    earlier = settings_of(model)
    if any(each.name == setting.name for each in earlier):
        raise ConfigError(
            f"{setting.name}: this model already carries a {setting.name} node, and only one of "
            f"them could be in force: remove one"
        )
    for each in earlier:
        reason = setting.beside.get(each.name) or each.beside.get(setting.name)
        if reason is not None:
            raise ConfigError(
                f"{setting.name}: this model also carries a {each.name} node, and {reason}. Take "
                f"one of the two out"
            )
    setting.check(model)
    clone = setting.clone(model)
    # The clone's options are copies of their own, two levels deep; the parent keeps its own.
    clone.model_options["transformer_options"][KEY] = Settings((*earlier, setting))
    if not earlier:
        clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _outer_sample)
        clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, _apply_model)
    return clone


def without(model: Any) -> Any:
    """A clone of the model without any setting.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
    """
    clone = model.clone()
    clone.model_options["transformer_options"].pop(KEY, None)
    for place in (WrappersMP.OUTER_SAMPLE, WrappersMP.APPLY_MODEL):
        clone.remove_wrappers_with_key(place, KEY)
    return clone


def settings_of(model: Any) -> tuple[Setting, ...]:
    """The settings on a host ``ModelPatcher``, in the order of their nodes."""
    return settings_in(model.model_options)


def settings_in(model_options: Any) -> tuple[Setting, ...]:
    """The settings in the options of a model or a guider, in the order of their nodes."""
    settings = _settings(model_options)
    return settings.all if settings is not None else ()


def told_by(model: Any) -> tuple[str, ...]:
    """What the settings said of the model's last run; nothing before one."""
    settings = _settings(model.model_options)
    return settings.told.lines if settings is not None else ()


def require_one_of(known: Sequence[str], value: str, problem: str) -> None:
    """Refuse what is not in a list.

    Args:
        problem: beginning of the message, with the name of the node and the value.

    Raises:
        ConfigError: the value is none of those that are known.
    """
    if value not in known:
        raise ConfigError(
            f"{problem}; expected one of {', '.join(known)}. Choose one from the list"
        )


def computes_in(patcher: Any) -> torch.dtype:
    """The numbers in which the host lets the network of a ``ModelPatcher`` compute."""
    return patcher.get_model_object("manual_cast_dtype") or patcher.model.get_dtype()


def goes_through_compiler(model_options: Any) -> bool:
    """Whether the host compiles the model when it is called."""
    return "torch_compile_kwargs" in model_options


def plain(dtype: torch.dtype) -> str:
    """A sort of numbers as people call it."""
    return str(dtype).removeprefix("torch.")


@contextmanager
def in_force(watches: Sequence[Watch]) -> Generator[None]:
    """Inside of the block, what settings change in the whole process is changed, and no call of
    another run with a node of ours goes on.

    Args:
        watches: those of one run, the same object in all of its calls.
    """
    if all(watch.change() is None for watch in watches):
        with SETTINGS_LOCK.take():
            yield
        return

    @contextmanager
    def changed() -> Generator[None]:
        with ExitStack() as stack:
            for change in (watch.change() for watch in watches):
                if change is not None:
                    stack.enter_context(change)
            yield

    with SETTINGS_LOCK.take(watches, changed):
        yield


def _settings(model_options: Any) -> Settings | None:
    return model_options.get("transformer_options", {}).get(KEY)


def _outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE: everything is in force before the model is loaded, until the run is over."""
    guider = executor.class_obj
    options: dict[str, Any] = guider.model_options["transformer_options"]
    settings: Settings = options[KEY]
    if not has_steps(sigmas_in(args, kwargs)):
        settings.told.lines = ()
        return executor(*args, **kwargs)
    remarks: list[str] = []
    with ModuleSwap() as stack:
        if any(setting.keeps_tensors for setting in settings.all):
            stack.enter_context(COMFY_COMPILER.off(remarks.append))
        # Outside of all others, whatever the order of the nodes: who stands in for modules inside
        # of them, such as a cache, finds in their place what stands there by these settings.
        wrappers = options["wrappers"]
        others = wrappers[WrappersMP.APPLY_MODEL]
        stack.set(wrappers, WrappersMP.APPLY_MODEL, {KEY: others[KEY], **others})
        watches = [stack.enter_context(setting.scope(guider)) for setting in settings.all]
        with in_force(watches):
            for watch in watches:
                watch.begin()
        options[RUN_KEY] = watches
        try:
            return executor(*args, **kwargs)
        finally:
            options.pop(RUN_KEY, None)
            told = [line for watch in watches for line in watch.lines()]
            settings.told.lines = (*told, *remarks)


def _apply_model(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """APPLY_MODEL: one call of the model, at which settings may look."""
    watches: list[Watch] = ModelCall(args, kwargs).options.get(RUN_KEY, [])
    compute = partial(executor, *args, **kwargs)
    for watch in watches:
        compute = partial(watch.call, compute, executor.class_obj)
    with in_force(watches):
        return compute()
