"""Stand-ins for module forwards that last for one model call."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..session import Decision, Session
from ..sites import Site
from ..streams import StreamKey

_ABSENT = object()


class Swap(ExitStack):
    """Sets entries of dictionaries and puts back what was there, last in first out.

    A module's instance ``forward`` may already be somebody else's (bypass LoRA); it is saved and
    restored like any other entry.
    """

    def set(self, table: MutableMapping[str, Any], key: str, value: Any) -> None:
        """Set ``table[key]`` until the swap ends."""
        self.callback(_restore, table, key, table.get(key, _ABSENT))
        table[key] = value


def _restore(table: MutableMapping[str, Any], key: str, old: Any) -> None:
    if old is _ABSENT:
        table.pop(key, None)
    else:
        table[key] = old


class Dispatcher:
    """Answers for one module: asks the session, computes with the module's own forward.

    One object per module for the life of an installation, because torch.compile guards on the
    identity of ``forward``; what changes from call to call is state that it reads.
    """

    __slots__ = ("_compute", "_decision", "_session", "_site", "_streams", "forward")

    def __init__(self) -> None:
        self.release()
        # Importing dynamo costs seconds; nothing can be compiled while it is not there.
        self.forward: Callable[..., Any] = (
            torch.compiler.disable(self._forward)
            if "torch._dynamo" in sys.modules
            else self._forward
        )

    def bind(
        self,
        session: Session,
        site: Site,
        streams: Sequence[StreamKey],
        compute: Callable[..., Any],
        decision: Decision | None = None,
    ) -> None:
        """Prepare for one model call; `decision` is given where it was taken beforehand."""
        self._session, self._site, self._streams = session, site, streams
        self._compute, self._decision = compute, decision

    def release(self) -> None:
        """Forget the call, so that no session outlives its run."""
        self._session: Session | None = None
        self._site: Site | None = None
        self._streams: Sequence[StreamKey] = ()
        self._compute: Callable[..., Any] | None = None
        self._decision: Decision | None = None

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        session, site, compute = self._session, self._site, self._compute
        assert session is not None and site is not None and compute is not None
        if self._decision is None:
            return session.run(site, self._streams, lambda: compute(*args, **kwargs))
        output = compute(*args, **kwargs)
        session.record(site, self._streams, output, self._decision)
        return output


class Dispatchers:
    """The dispatchers of an installation, one per module, as long as the module lives."""

    def __init__(self) -> None:
        self._by_module: WeakKeyDictionary[nn.Module, Dispatcher] = WeakKeyDictionary()
        self._compiling = False

    def of(self, module: nn.Module) -> Dispatcher:
        """The dispatcher of a module."""
        if not self._compiling and "torch._dynamo" in sys.modules:
            # Dispatchers made before dynamo was loaded are not marked as opaque to it.
            self._by_module.clear()
            self._compiling = True
        dispatcher = self._by_module.get(module)
        if dispatcher is None:
            dispatcher = self._by_module[module] = Dispatcher()
        return dispatcher
