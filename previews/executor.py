"""Answers pages beside a server that has other things to do: one question at a time, and no more
work for a request than a second's."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..cache_core.effort import REASON, Effort
from ..cache_core.errors import EffortError
from .cache import PreviewCache
from .preview import preview
from .request import BadRequest, PreviewedNode

LOG = logging.getLogger("stepcache")

MAX_EFFORT = 1_000_000
"""For one request, about a second. Searching a calibration of 50 steps takes a fifth of it."""
MAX_QUESTIONS = 200
MAX_REQUESTS = 16
"""Requests that wait for their turn at one time."""
PATIENCE = 0.3
"""Seconds that an answer waits for a look at a model; the first look of a server takes longer."""
REST = 9.0
"""Times as long as a question took: while the server samples, pages get a tenth of its time."""

AnswerT = TypeVar("AnswerT")


class Busy(Exception):
    """Others wait already."""


class PreviewExecutor:
    """What stands between the route and what it is about.

    Args:
        nodes: the nodes that can be asked about, by id.
        is_sampling: whether the server runs a prompt, or is about to.
    """

    def __init__(
        self, nodes: Mapping[str, type[PreviewedNode]], is_sampling: Callable[[], bool]
    ) -> None:
        self._nodes, self._is_sampling = nodes, is_sampling
        self._cache = PreviewCache()
        # A thread of its own: those of the event loop send files and pages.
        self._worker = ThreadPoolExecutor(1, "stepcache-preview")
        # Requests take turns question by question, so that none waits for all of another's.
        self._turn = asyncio.Lock()
        self._rests_until = 0.0
        self._requests = 0

    async def answer(self, body: bytes, is_awaited: Callable[[], bool]) -> str:
        """The answers to a request, as JSON.

        Args:
            body: of the request.
            is_awaited: whether somebody still waits for them; work stops where nobody does.

        Raises:
            Busy: too many requests wait.
            BadRequest: it is no list of questions.
        """
        if self._requests >= MAX_REQUESTS:
            raise Busy
        self._requests += 1
        effort = Effort(MAX_EFFORT)
        try:
            questions = await self._do(_questions, body)
            answers: list[dict[str, Any]] = []
            for question in questions:
                if not is_awaited():
                    return ""
                answers.append(await self._do(self._one, question, effort, bool(answers)))
            await self._look_again(questions, answers, effort)
            return await self._do(json.dumps, answers)
        finally:
            effort.stop()
            self._requests -= 1

    async def _look_again(
        self, questions: list[Any], answers: list[dict[str, Any]], effort: Effort
    ) -> None:
        """Most looks at files of models are over in a moment, and the answer then tells more."""
        looks = self._cache.looks()
        if not looks:
            return
        await asyncio.wait(map(asyncio.wrap_future, looks), timeout=PATIENCE)
        for at, answer in enumerate(answers):
            if answer.get("is_pending") and "refused" not in answer:
                answers[at] = await self._do(self._one, questions[at], effort, True)

    def _one(self, question: Any, effort: Effort, is_later: bool) -> dict[str, Any]:
        """One answer; a question that cannot be read does not spoil the others."""
        try:
            with effort.limits():
                answer = preview(self._nodes, question, self._cache)
        except BadRequest as error:
            answer = {"refused": str(error)}
        except EffortError:
            answer = {}
        except Exception as error:
            LOG.exception("Step Cache: no preview")
            answer = {"refused": f"an error in Step Cache ({type(error).__name__}); see the log"}
        if effort.is_exhausted:
            # Without those before it there may be enough: then the page asks again.
            return {"refused": REASON, "is_pending": is_later}
        return answer

    async def _do(self, work: Callable[..., AnswerT], *values: Any) -> AnswerT:
        """Work in its turn, outside of the event loop."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._is_sampling():
                await asyncio.sleep(self._rests_until - loop.time())
            answer, seconds = await loop.run_in_executor(self._worker, _timed, work, values)
            self._rests_until = loop.time() + REST * seconds
        return answer


def _timed(work: Callable[..., AnswerT], values: tuple[Any, ...]) -> tuple[AnswerT, float]:
    begun = time.thread_time()
    return work(*values), time.thread_time() - begun


def _questions(body: bytes) -> list[Any]:
    try:
        questions = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the question is no JSON") from error
    if not isinstance(questions, list) or len(questions) > MAX_QUESTIONS:
        raise BadRequest(f"expected a list of at most {MAX_QUESTIONS} questions")
    return questions
