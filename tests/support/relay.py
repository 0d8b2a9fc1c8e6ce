"""Threads that take turns where a test says so: an interleaving is chosen, not met by luck."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from threading import Condition, Thread, get_ident
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch.nn.modules.module import register_module_forward_pre_hook

LONG = 120.0
"""Seconds after which a thread that is never let go on gives up, instead of hanging the tests."""


class Relay:
    """Only one thread runs at a time; where `pass_on` is called, it is drawn who goes on.

    Args:
        seed: of the draws. With None the threads go on in turn.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._draw = Random(seed) if seed is not None else None
        self._changed = Condition()
        self._running: list[int] = []
        self._met: list[int] = []
        self._now: int | None = None
        self.switches = 0
        """How often another thread went on."""

    def run(self, *tasks: Callable[[], Any]) -> list[Any]:
        """What the tasks return, each called in a thread of its own.

        Raises:
            BaseException: the first that one of them raised, when all are over.
        """
        answers: list[Any] = [None] * len(tasks)
        errors: list[BaseException] = []

        def work(number: int, task: Callable[[], Any]) -> None:
            try:
                self._wait_for_turn()
                answers[number] = task()
            except BaseException as error:
                errors.append(error)
            finally:
                self._leave(has_ended=True)

        threads = [Thread(target=work, args=each, daemon=True) for each in enumerate(tasks)]
        for thread in threads:
            thread.start()
        with self._changed:
            self._running = [thread.ident or 0 for thread in threads]
            self._now = self._running[0]
            self._changed.notify_all()
        for thread in threads:
            thread.join(LONG)
        for error in errors:
            raise error
        assert not any(thread.is_alive() for thread in threads)
        return answers

    def pass_on(self) -> None:
        """Let the thread go on that is drawn, which may be the calling one."""
        if get_ident() in self._running:
            with self._changed:
                self._choose()
            self._wait_for_turn()

    def meet(self) -> None:
        """Let the others go on until all that still run are here."""
        self._leave()
        self._wait_for_turn()

    def wrapped(self, model: Any) -> Any:
        """A clone whose runs meet when they have sampled.

        The host takes the patcher from a model when any run of it is over, and every other run of
        it fails from then on.
        """
        clone = model.clone()

        def sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
            result = executor(*args, **kwargs)
            self.meet()
            return result

        clone.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, "relay", sample)
        return clone

    def _choose(self) -> None:
        before = self._now
        if self._draw is not None:
            self._now = self._draw.choice(self._running)
        else:
            later = [each for each in self._running if before is not None and each > before]
            self._now = min(later or self._running)
        if self._now != before:
            self.switches += 1
            self._changed.notify_all()

    def _wait_for_turn(self) -> None:
        me = get_ident()
        with self._changed:
            if not self._changed.wait_for(lambda: self._now == me, LONG):
                raise TimeoutError("the thread was never let go on")

    def _leave(self, has_ended: bool = False) -> None:
        with self._changed:
            self._running.remove(get_ident())
            if not has_ended:
                self._met.append(get_ident())
            if not self._running:
                self._running, self._met = self._met, []
            if self._running:
                self._choose()


@contextmanager
def at_every_module(relay: Relay) -> Generator[None]:
    """Pass on whenever any module is called, between fetching its forward and calling it."""
    handle = register_module_forward_pre_hook(lambda *_: relay.pass_on())
    try:
        yield
    finally:
        handle.remove()
