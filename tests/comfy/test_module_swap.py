"""Stand-ins of calls that overlap, and turns of calls that change the process."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Barrier, Event
from typing import Any

import pytest
import torch
from stepcache.cache_core.host.intercept.module_swap import ModuleSwap, stand_in
from stepcache.cache_core.host.settings_lock import SettingsLock
from torch import nn

X = torch.ones(1)
LONG = 60.0


def adding(number: int) -> Callable[..., Any]:
    return lambda compute, args, kwargs: compute(*args, **kwargs) + number


def in_another_thread(task: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(task).result(LONG)


@pytest.fixture(params=["own", "instance"])
def module(request: pytest.FixtureRequest) -> nn.Module:
    """One whose forward is its own, and one on which another node has put one."""
    found = nn.Identity()
    if request.param == "instance":
        found.forward = lambda x: x * 10
    return found


def test_answers_are_seen_by_their_own_call_alone(module: nn.Module) -> None:
    before, plain = dict(module.__dict__), module(X)
    with ModuleSwap() as swap:
        swap.answer(module, adding(1))
        assert torch.equal(module(X), plain + 1)
        assert torch.equal(in_another_thread(lambda: module(X)), plain)
        other = in_another_thread(lambda: stand_in(module))
        assert other is before.get("forward"), "what others find there is not ours"
    assert module.__dict__ == before and torch.equal(module(X), plain)


def test_answers_of_one_call_stand_around_each_other(module: nn.Module) -> None:
    before, plain = dict(module.__dict__), module(X)
    with ModuleSwap() as outer:
        outer.answer(module, adding(1))
        outer.answer(module, lambda compute, args, _: compute(*args) * 2)
        with ModuleSwap() as inner:
            inner.answer(module, adding(5))
            assert torch.equal(module(X), (plain + 1) * 2 + 5)
        assert torch.equal(module(X), (plain + 1) * 2)
    assert module.__dict__ == before


def test_whoever_leaves_first_takes_only_its_own(module: nn.Module) -> None:
    """A enters, B enters, A leaves, B leaves; and what a thread has fetched stays callable."""
    before, plain = dict(module.__dict__), module(X)
    has_entered, may_leave = Event(), Event()

    def second() -> torch.Tensor:
        with ModuleSwap() as swap:
            swap.answer(module, adding(2))
            has_entered.set()
            assert may_leave.wait(LONG)
            return module(X)

    with ThreadPoolExecutor(1) as pool:
        with ModuleSwap() as swap:
            swap.answer(module, adding(1))
            answered = pool.submit(second)
            assert has_entered.wait(LONG)
            fetched = module.forward
        assert torch.equal(module(X), plain)
        may_leave.set()
        assert torch.equal(answered.result(LONG), plain + 2)
    assert module.__dict__ == before
    assert torch.equal(fetched(X), plain)


def test_who_stands_above_ours_goes_on_standing_there() -> None:
    """Another node takes a module's place in the middle of a call, and never gives it back."""
    module = nn.Identity()
    with ModuleSwap() as swap:
        swap.answer(module, adding(1))
        ours = module.forward
        module.forward = lambda x: ours(x) * 3
        with ModuleSwap() as inner:
            inner.answer(module, adding(4))
            assert torch.equal(module(X), (X + 1) * 3 + 4)
        assert torch.equal(module(X), (X + 1) * 3)
    assert torch.equal(module(X), X * 3)
    with ModuleSwap() as swap:
        swap.answer(module, adding(1))
        assert torch.equal(module(X), X * 3 + 1)
    assert torch.equal(module(X), X * 3)


def test_a_context_that_is_handed_on_is_answered() -> None:
    module = nn.Identity()
    with ModuleSwap() as swap:
        swap.answer(module, adding(1))
        context = copy_context()
        assert torch.equal(in_another_thread(lambda: context.run(module, X)), X + 1)


def test_a_module_that_nobody_holds_goes_at_once() -> None:
    module = nn.Linear(1, 1)
    with ModuleSwap() as swap:
        swap.answer(module, adding(1))
        module(X)
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(module)
        del module, swap
        assert gone() is None
    finally:
        gc.enable()


def test_calls_that_want_the_same_go_on_at_the_same_time() -> None:
    lock, together, owner = SettingsLock(), Barrier(2, timeout=LONG), object()
    changes: list[str] = []

    @contextmanager
    def change() -> Generator[None]:
        changes.append("set")
        yield
        changes.append("put back")

    def call(owner: object, change: Any) -> None:
        with lock.take(owner, change):
            together.wait()

    for arguments in ((None, None), (owner, change)):
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(call, *arguments) for _ in range(2)]:
                done.result(LONG)
    assert changes == ["set", "put back"]


def test_calls_that_want_something_else_never_meet() -> None:
    lock, owners = SettingsLock(), (None, object(), object())
    inside: list[object] = []

    def call(owner: object) -> None:
        @contextmanager
        def change() -> Generator[None]:
            inside.append(owner)
            yield
            inside.remove(owner)

        for _ in range(300):
            with lock.take(owner, None if owner is None else change):
                assert inside == ([] if owner is None else [owner])
                with lock.take():
                    assert inside == ([] if owner is None else [owner]), "a part of the call"

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(call, owner) for owner in owners * 2]:
            done.result(LONG)
    assert not inside


def test_a_turn_that_fails_is_over() -> None:
    lock = SettingsLock()

    @contextmanager
    def failing() -> Generator[None]:
        raise RuntimeError("cannot be set")
        yield

    with pytest.raises(RuntimeError, match="cannot be set"), lock.take(object(), failing):
        pass
    with pytest.raises(RuntimeError, match="in the call"), lock.take(object()):
        raise RuntimeError("in the call")
    with lock.take(object()):
        pass
