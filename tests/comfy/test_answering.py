"""Many pages ask at once: whose turn it is, who has to come again, and when work stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from stepcache.nodes.extension import with_strips
from stepcache.previews import executor as answering
from stepcache.previews.executor import MAX_REQUESTS, Busy, PreviewExecutor
from stepcache.previews.preview import preview
from stepcache.previews.request import BadRequest

NODES = with_strips()
PAB, DEEP, SMOOTH = "StepCacheApplyPAB", "StepCacheDeepCacheUNet", "StepCacheSmoothCache"
Asked = list[tuple[str, int]]


def questions(node: str, count: int, steps: int = 8) -> bytes:
    return json.dumps([{"node": node, "steps": steps + n} for n in range(count)]).encode()


def always() -> bool:
    return True


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Which questions were really answered, in their order."""
    seen: Asked = []

    def noted(nodes: Any, question: Any, cache: Any) -> dict[str, Any]:
        seen.append((question["node"], question["steps"]))
        return preview(nodes, question, cache)

    monkeypatch.setattr(answering, "preview", noted)
    return seen


def answering_now(is_sampling: Callable[[], bool] = lambda: False) -> PreviewExecutor:
    return PreviewExecutor(NODES, is_sampling)


def test_two_pages_take_turns(asked: Asked) -> None:
    async def both() -> tuple[str, str]:
        room = answering_now()
        one, two = room.answer(questions(PAB, 3), always), room.answer(questions(DEEP, 3), always)
        return await asyncio.gather(one, two)

    for text in asyncio.run(both()):
        assert [answer["error"] for answer in json.loads(text)] == [None] * 3
    assert [node for node, _ in asked] == [PAB, DEEP] * 3


def test_work_stops_when_nobody_waits(asked: Asked) -> None:
    asyncio.run(answering_now().answer(questions(PAB, 50), lambda: len(asked) < 2))
    assert asked == [(PAB, 8), (PAB, 9)]


def test_work_stops_when_the_server_gives_the_request_up(asked: Asked) -> None:
    async def given_up() -> None:
        task = asyncio.ensure_future(answering_now().answer(questions(PAB, 50), always))
        while len(asked) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    assert len(asked) < 50


def test_who_comes_when_too_many_wait_has_to_come_again() -> None:
    async def crowd() -> list[str | BaseException]:
        room = answering_now()
        all_of_them = [room.answer(questions(PAB, 1), always) for _ in range(MAX_REQUESTS + 2)]
        found = await asyncio.gather(*all_of_them, return_exceptions=True)
        assert json.loads(await room.answer(questions(PAB, 1), always))[0]["error"] is None
        return found

    *served, one, two = asyncio.run(crowd())
    assert [type(each) for each in (one, two)] == [Busy, Busy]
    assert all(isinstance(text, str) for text in served)


def test_a_refused_request_leaves_room_for_others() -> None:
    async def one_after_the_other() -> None:
        room = answering_now()
        for _ in range(2 * MAX_REQUESTS):
            with pytest.raises(BadRequest, match="the question is no JSON"):
                await room.answer(b"{", always)

    asyncio.run(one_after_the_other())


def test_what_a_request_may_cost_is_counted_not_timed() -> None:
    one, two = (
        asyncio.run(answering_now().answer(questions(PAB, 60, 5_000), always)) for _ in range(2)
    )
    assert one == two
    answers = json.loads(one)
    served = [answer for answer in answers if "refused" not in answer]
    assert 0 < len(served) < 60
    assert answers[: len(served)] == served


def test_the_server_rests_between_questions_while_it_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    asyncio.run(answering_now().answer(questions(SMOOTH, 3), always))
    assert not slept
    asyncio.run(answering_now(always).answer(questions(SMOOTH, 3), always))
    assert len(slept) >= 3, "before each of them, as long as the one before says"
