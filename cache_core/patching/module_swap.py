"""Stand-ins for module forwards that last for one model call."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..session import Answer, Compute
from ..sites import SiteKind

_ABSENT = object()


class Swap(ExitStack):
    """Sets entries of dictionaries and puts back what was there, last in first out.

    A module's instance ``forward`` may already be somebody else's (bypass LoRA); it is saved and
    restored like any other entry. Entries come back when everything else on the stack has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was: list[tuple[MutableMapping[str, Any], str, Any]] = []
        self.callback(self._restore)

    def set(self, table: MutableMapping[str, Any], key: str, value: Any) -> None:
        """Set ``table[key]`` until the swap ends."""
        self._was.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def _restore(self) -> None:
        for table, key, old in reversed(self._was):
            if old is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = old


def opaque(function: Compute) -> Compute:
    """The same function, which torch.compile calls instead of tracing what it does."""
    # Importing dynamo costs seconds; nothing can be compiled while it is not there.
    is_loaded = "torch._dynamo" in sys.modules
    return torch.compiler.disable(function) if is_loaded else function


class Dispatcher:
    """Answers for one module in one role.

    One object per module and role for the life of an installation, because torch.compile guards on
    the identity of ``forward``; what changes from call to call is state that it reads.
    """

    __slots__ = ("_answer", "_compute", "forward")

    def __init__(self) -> None:
        self.release()
        self.forward: Compute = opaque(self._forward)

    def bind(self, answer: Answer, compute: Compute) -> None:
        """Prepare for one model call."""
        self._answer: Answer | None = answer
        self._compute: Compute | None = compute

    def release(self) -> None:
        """Forget the call, so that no session outlives its run."""
        self._answer = None
        self._compute = None

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        answer, compute = self._answer, self._compute
        assert answer is not None and compute is not None
        return answer(compute, args, kwargs)


class Dispatchers:
    """The dispatchers of an installation, as long as their modules live."""

    def __init__(self) -> None:
        self._by_module: WeakKeyDictionary[nn.Module, dict[SiteKind, Dispatcher]]
        self._by_module = WeakKeyDictionary()
        self._compiling = False

    def __reduce__(self) -> Any:
        # They are made anew for the modules of where they are loaded.
        return Dispatchers, ()

    def of(self, module: nn.Module, role: SiteKind) -> Dispatcher:
        """The dispatcher of a module; one module may be a block and hold attention too."""
        if not self._compiling and "torch._dynamo" in sys.modules:
            # Dispatchers made before dynamo was loaded are not marked as opaque to it.
            self._by_module.clear()
            self._compiling = True
        roles = self._by_module.setdefault(module, {})
        if role not in roles:
            roles[role] = Dispatcher()
        return roles[role]
