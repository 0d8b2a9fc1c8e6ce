"""The repeated blocks of a network, compiled once for all of their kind, while a model samples."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..cache_core.errors import ConfigError, UnsupportedModelError
from ..cache_core.host.compatibility.fingerprint import is_compiled
from ..cache_core.host.compatibility.repeated import repeated_modules
from ..cache_core.host.families import BlockResidual, family_of
from ..cache_core.host.installation import KEY as CACHES
from ..cache_core.host.installation import Installation
from ..cache_core.host.intercept.module_swap import Answer, Compute, ModuleSwap
from . import compiler
from .fusing import FusedProjections
from .region import (
    ANSWERED,
    DIVIDED,
    LISTENED,
    PATCHED,
    Forward,
    Options,
    Region,
    asked,
    hindrance,
    is_patched,
    options_of,
    unchanging,
)
from .setting import Setting, Watch, goes_through_compiler, require_one_of
from .weights import is_answered


@dataclass(frozen=True, slots=True)
class RegionalCompile(Setting):
    """Blocks of a known family run as compiled code, one for all blocks of a class.

    Args:
        dynamic: whether sizes are left open, one of "auto" (from the second size on), "on", "off".
        backend: what PyTorch compiles with.
        failed: classes that PyTorch could not compile, and why; they are not tried again.

    Raises:
        ConfigError: there is no such choice.
    """

    name: ClassVar[str] = "Regional Compile"
    keeps_tensors: ClassVar[bool] = True
    beside: ClassVar[Mapping[str, str]] = {
        FusedProjections.name: "compiled blocks would be compiled anew for what it fuses"
    }

    dynamic: str = "auto"
    backend: str | Forward = field(default=compiler.INDUCTOR, repr=False)
    failed: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        problem = f"{self.name}: there is no choice of dynamic {self.dynamic!r}"
        require_one_of(tuple(compiler.DYNAMIC), self.dynamic, problem)

    def check(self, model: Any) -> None:
        self._refuse_compiled(model.model_options)
        network: nn.Module = model.model.diffusion_model
        family = family_of(network)
        if family is None or not repeated_modules(family, network, {}, False):
            raise UnsupportedModelError(
                f"{self.name}: {type(network).__name__} is no network whose repeated blocks this "
                f"node knows. Take this node out; ComfyUI's TorchCompileModel compiles any model "
                f"as a whole"
            )

    def clone(self, model: Any) -> Any:
        # Memory that the host gives and takes while a model runs cannot be compiled; its own
        # TorchCompileModel leaves it out in the same way.
        has_choice = "disable_dynamic" in inspect.signature(model.clone).parameters
        try:
            return model.clone(disable_dynamic=True) if has_choice else model.clone()
        except RuntimeError as error:
            raise ConfigError(
                f"{self.name}: the memory of this model changes while it runs, and ComfyUI cannot "
                f"load it otherwise ({error}); expected a model straight from its loader. Connect "
                f"that one, or start ComfyUI with --disable-dynamic-vram"
            ) from error

    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        self._refuse_compiled(guider.model_options)
        options: Options = guider.model_options["transformer_options"]
        device = torch.device(guider.model_patcher.load_device)
        caches: Installation | None = options.get(CACHES)
        if caches is not None and caches.study is not None:
            yield Plain(self, "what a layer costs is measured in this run")
            return
        reason = compiler.hindrance(device) if self.backend == compiler.INDUCTOR else None
        if reason is not None:
            yield Plain(self, reason)
            return
        watch = _Compiling(self, device, caches, is_patched(options))
        try:
            yield watch
        finally:
            watch.forget_failures()

    def _refuse_compiled(self, model_options: Options) -> None:
        if goes_through_compiler(model_options):
            raise ConfigError(
                f"{self.name}: the model also goes through TorchCompileModel, which compiles it as "
                f"a whole; expected a model that is not compiled. Take one of the two out"
            )


class Plain(Watch):
    """A run in which nothing is compiled, and why."""

    def __init__(self, setting: RegionalCompile, reason: str) -> None:
        self._setting, self._reason = setting, reason

    def lines(self) -> list[str]:
        return [f"{self._setting.name}: nothing was compiled: {self._reason}"]


class _Compiling(Watch):
    """The compiled blocks of one run, by network."""

    def __init__(
        self,
        setting: RegionalCompile,
        device: torch.device,
        caches: Installation | None,
        has_patches: bool,
    ) -> None:
        self._setting, self._device = setting, device
        self._claimed = caches.access if caches is not None else {}
        self._has_patches = has_patches
        self._log = compiler.Log()
        self._answers: WeakKeyDictionary[nn.Module, dict[nn.Module, Answer]]
        self._answers = WeakKeyDictionary()
        self._compiled: dict[type[nn.Module], Forward] = {}
        self._sizes: Counter[str] = Counter()
        self._plain: Counter[tuple[str, str]] = Counter()
        self._again: dict[tuple[str, str], None] = {}
        self._breaks: dict[tuple[str, str], None] = {}
        self._times, self._seconds = 0, 0.0

    def change(self) -> AbstractContextManager[None]:
        # What PyTorch compiles also depends on whose stand-ins are on modules.
        return compiler.settings(self._setting.dynamic)

    def call(self, compute: Callable[[], Any], model: Any) -> Any:
        network: nn.Module = model.diffusion_model
        if network not in self._answers:
            self._answers[network] = self._found(network)
        with ModuleSwap() as swap:
            for module, answer in self._answers[network].items():
                swap.answer(module, answer)
            return compute()

    def _found(self, network: nn.Module) -> dict[nn.Module, Answer]:
        """The answers for a network's regions."""
        family = family_of(network)
        if family is None:
            self._plain[type(network).__name__, "this node does not know the network"] += 1
            return {}
        if is_compiled(network):
            self._plain[type(network).__name__, "another node has compiled parts of it"] += 1
            return {}
        found: dict[nn.Module, Answer] = {}
        modules = repeated_modules(family, network, self._claimed, self._has_patches)
        ways = {site.path: access for site, access in family.sites(network).items()}
        for path, module in modules.items():
            kind = type(module).__name__
            reason = hindrance(module, self._device)
            if reason is not None:
                self._plain[kind, reason] += 1
                continue
            inside = tuple(each for each in module.modules() if each is not module)
            access = ways.get(path)
            writes = not isinstance(access, BlockResidual) or access.writes_in_place
            region = Region(module, kind, inside, writes)
            found[module] = self._standing_in(region)
            self._sizes[kind] += 1
        return found

    def _standing_in(self, region: Region) -> Answer:
        kind = type(region.module)
        if kind not in self._compiled:
            setting = self._setting
            self._compiled[kind] = compiler.compiled(kind.forward, setting.backend, setting.dynamic)
        compiled = self._compiled[kind]

        def answer(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            options = options_of(args, kwargs)
            reason = self._why_plain(region, options)
            if reason is not None:
                self._plain[region.kind, reason] += 1
                return compute(*args, **kwargs)
            if options is not None:
                same = unchanging(options)
                args = tuple(same if value is options else value for value in args)
                kwargs = {k: same if value is options else value for k, value in kwargs.items()}
            if not region.writes:
                # The first block of a row is often given a transposed tensor, the others are not.
                args = tuple(v.contiguous() if isinstance(v, torch.Tensor) else v for v in args)
            tried, began = self._log.tried, perf_counter()
            try:
                with asked(options):
                    return compiled(region.module, *args, **kwargs)
            finally:
                if self._log.tried != tried:
                    self._note(region.kind, perf_counter() - began)

        return answer

    def _why_plain(self, region: Region, options: Options | None) -> str | None:
        if region.kind in self._setting.failed:
            return self._setting.failed[region.kind]
        if any(is_answered(each) for each in region.inside):
            return ANSWERED
        if options is not None and is_patched(options):
            return PATCHED
        return LISTENED if compiler.is_listened_to() else None

    def _note(self, kind: str, seconds: float) -> None:
        """Write down what PyTorch compiled in a call that took so long."""
        self._seconds += seconds
        for compilation in self._log.compilations():
            self._times += 1
            if compilation.failure is not None:
                self._setting.failed[kind] = f"torch.compile failed: {compilation.failure}"
            elif compilation.again is not None:
                self._again[kind, compilation.again] = None
        for each in self._log.breaks():
            self._breaks[kind, each.place] = None
            if each.is_by_memory:
                self._setting.failed[kind] = DIVIDED

    def forget_failures(self) -> None:
        """Let whoever compiles these classes next find out for themselves."""
        for kind in self._compiled:
            if kind.__name__ in self._setting.failed:
                compiler.forget(kind.forward)

    def lines(self) -> list[str]:
        name = f"{self._setting.name} (dynamic {self._setting.dynamic})"
        sizes = ", ".join(f"{n} {kind}" for kind, n in self._sizes.items()) or "nothing"
        lines = [f"{name}: {sizes}; compiled {self._times} times, {self._seconds:.1f} s"]
        if not self._times:
            lines = [f"{name}: {sizes}; nothing had to be compiled"]
        for kind in self._sizes:
            reasons = [why for one, why in self._again if one == kind]
            if reasons:
                lines.append(f"{name}: {kind}: compiled anew, because {'; '.join(reasons)}")
        lines += [f"{name}: {kind}: broken in two at {place}" for kind, place in self._breaks]
        return lines + [
            f"{name}: {kind}: ran as it is {n} times: {why}"
            for (kind, why), n in self._plain.items()
        ]
