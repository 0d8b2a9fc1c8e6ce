"""Stand-ins for modules' forwards that last for one model call, and are seen by that call alone.

Several threads may call one network at once. What stands in for a module's forward is therefore
looked up in the context of the call that asks. On the module itself there is only a slot, as long
as any call needs it; a call that has nothing to say there goes through it to what was there before.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar, Token
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

from ...session import Answer, Compute

FORWARD = "forward"
_ABSENT = object()


def opaque(function: Compute) -> Compute:
    """The same function, which torch.compile calls instead of tracing what it does."""
    # Importing dynamo costs seconds; nothing can be compiled while it is not there.
    return torch.compiler.disable(function) if _can_compile() else function


def _can_compile() -> bool:
    return "torch._dynamo" in sys.modules


class _Slot:
    """Stands in a module's place, and calls what the call that asks has put there.

    One object per module, because torch.compile guards on the identity of ``forward``.
    """

    __slots__ = ("_is_opaque", "_module", "_was", "forward", "holders")

    def __init__(self, module: nn.Module) -> None:
        # Weakly: the table of slots must not keep modules alive.
        self._module = ref(module)
        self._was: Any = _ABSENT
        self._is_opaque = _can_compile()
        self.holders = 0
        self.forward: Compute = opaque(self._forward)

    @property
    def compute(self) -> Compute:
        """What was there before, another node's instance forward or the module's own."""
        if self._was is not _ABSENT:
            return self._was
        module: Any = self._module()
        return type(module).forward.__get__(module)

    @property
    def is_own(self) -> bool:
        """Whether nothing but the module's own forward was there."""
        return self._was is _ABSENT

    def enter(self, module: nn.Module) -> None:
        """Take the module's place."""
        if not self._is_opaque and _can_compile():
            self._is_opaque, self.forward = True, opaque(self._forward)
        self._was = module.__dict__.get(FORWARD, _ABSENT)
        module.__dict__[FORWARD] = self.forward

    def leave(self, module: nn.Module) -> None:
        """Put back what was there.

        What it was stays known: another thread may have fetched `forward` and not called it yet.
        """
        if self._was is _ABSENT:
            del module.__dict__[FORWARD]
        else:
            module.__dict__[FORWARD] = self._was

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        found = _answers.get().get(self)
        if found is None:
            return self.compute(*args, **kwargs)
        answer, compute = found
        return answer(compute, args, kwargs)


class _Slots:
    """The slots of all modules. A process has one such table, as it has one of each module."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_module: WeakKeyDictionary[nn.Module, _Slot] = WeakKeyDictionary()

    def hold(self, module: nn.Module) -> _Slot:
        """The slot in a module's place, from now on until it is released as often as held."""
        with self._lock:
            slot = self._by_module.get(module)
            if slot is None:
                slot = self._by_module[module] = _Slot(module)
            if module.__dict__.get(FORWARD) is not slot.forward:
                if slot.holders:
                    # Another node stands above it: ours has to stand above both.
                    slot = _Slot(module)
                slot.enter(module)
            slot.holders += 1
            return slot

    def release(self, held: Sequence[tuple[nn.Module, _Slot]]) -> None:
        """Give slots back; each module is as it was found when nobody holds its slot any more."""
        with self._lock:
            for module, slot in reversed(held):
                slot.holders -= 1
                if slot.holders:
                    continue
                if module.__dict__.get(FORWARD) is slot.forward:
                    slot.leave(module)
                elif self._by_module.get(module) is slot:
                    # Another node took its place and calls it: it must never stand above that one.
                    del self._by_module[module]

    def found(self, module: nn.Module) -> _Slot | None:
        """The slot in a module's place; None where there is none."""
        slot = self._by_module.get(module)
        return slot if slot is not None and module.__dict__.get(FORWARD) is slot.forward else None


_slots = _Slots()
_answers: ContextVar[Mapping[_Slot, tuple[Answer, Compute]]]
_answers = ContextVar("answers", default=MappingProxyType({}))
"""What the running call has put in modules' places, each with what it stands in for."""


class ModuleSwap(ExitStack):
    """Answers for modules in the call that it is used in, and sets entries of the call's own
    dictionaries. All is as it was when it ends, and when everything else on the stack has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was: list[tuple[MutableMapping[str, Any], str, Any]] = []
        self._held: list[tuple[nn.Module, _Slot]] = []
        self._own: dict[_Slot, tuple[Answer, Compute]] = {}
        self._token: Token[Any] | None = None
        self.callback(self._restore)

    def set(self, table: MutableMapping[str, Any], key: str, value: Any) -> None:
        """Set ``table[key]`` until the swap ends. Nobody else may have the table meanwhile."""
        self._was.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def answer(self, module: nn.Module, answer: Answer) -> None:
        """Answer for a module whenever this call asks it, until the swap ends.

        Args:
            answer: is handed what it stands in for: what was there before, which may be another
                answer of this call.
        """
        if self._token is None:
            # A copy: who called us keeps what it has, and so does who inherits its context.
            self._own.update(_answers.get())
            self._token = _answers.set(self._own)
        slot = _slots.hold(module)
        self._held.append((module, slot))
        before = self._own.get(slot)
        self._own[slot] = answer, slot.compute if before is None else partial(_ask, *before)

    def _restore(self) -> None:
        if self._token is not None:
            _answers.reset(self._token)
        _slots.release(self._held)
        for table, key, old in reversed(self._was):
            if old is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = old


def _ask(answer: Answer, compute: Compute, *args: Any, **kwargs: Any) -> Any:
    return answer(compute, args, kwargs)


def stand_in(module: nn.Module) -> Any:
    """What the running call finds in place of a module's own forward; None if there is nothing."""
    instead = module.__dict__.get(FORWARD)
    if instead is None:
        return None
    slot = _slots.found(module)
    if slot is None or slot in _answers.get():
        return instead
    return None if slot.is_own else slot.compute
