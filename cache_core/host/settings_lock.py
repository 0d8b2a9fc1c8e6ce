"""Calls of the model that take turns: PyTorch has many of its settings once for a whole process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from threading import Condition, RLock
from typing import Any

Change = Callable[[], AbstractContextManager[Any]]
"""Changes settings of the process inside of its block."""


class SettingsLock:
    """Lets calls run at the same time that want the same settings, and all others one by one.

    First come, first served: nobody waits for longer than the calls that stand before it.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._queue: deque[object] = deque()
        self._stack = ExitStack()
        self._owner: object = None
        self._inside = 0
        self._nested = RLock()
        self._is_inside: ContextVar[bool] = ContextVar("is_inside", default=False)

    @contextmanager
    def take(self, owner: object = None, change: Change | None = None) -> Generator[None]:
        """Run a block at no time at which another owner has changed the settings.

        A block inside of such a block is part of it, and changes what it wants in addition.

        Args:
            owner: whose settings they are, None for those of the process as it is.
            change: is entered by the first call of an owner, and left by its last.
        """
        if self._is_inside.get():
            if change is None:
                yield
            else:
                with self._nested, change():
                    yield
            return
        self._enter(owner, change)
        token = self._is_inside.set(True)
        try:
            yield
        finally:
            self._is_inside.reset(token)
            self._leave()

    def _enter(self, owner: object, change: Change | None) -> None:
        with self._changed:
            if self._queue or not self._may_enter(owner):
                self._wait(owner)
            if change is not None and not self._inside:
                self._stack.enter_context(change())
            self._owner = owner
            self._inside += 1

    def _wait(self, owner: object) -> None:
        ticket = object()
        self._queue.append(ticket)
        try:
            self._changed.wait_for(lambda: self._queue[0] is ticket and self._may_enter(owner))
        finally:
            self._queue.remove(ticket)
            # Who stands next may want the same settings.
            self._changed.notify_all()

    def _may_enter(self, owner: object) -> bool:
        return not self._inside or self._owner is owner

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._owner = None
                self._changed.notify_all()
                self._stack.close()


SETTINGS_LOCK = SettingsLock()
"""Of this process. Calls without a node of ours take none, and cannot be made to."""
