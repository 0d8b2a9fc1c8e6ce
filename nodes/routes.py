"""The one route of the pack: what nodes will do, for the strips on them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from server import PromptServer

from .desk import Desk
from .method_node import MethodNode
from .preview import preview
from .question import BadRequest

LOG = logging.getLogger("stepcache")

PATH = "/stepcache/preview"
MOST_BYTES = 2**20
MOST_QUESTIONS = 200


def register(nodes: Mapping[str, type[MethodNode]]) -> None:
    """Let the running server answer; without one (a script) there is nobody to ask."""
    server: Any = getattr(PromptServer, "instance", None)
    if server is None:
        return

    desk = Desk()

    @server.routes.post(PATH)
    async def answer(request: web.Request) -> web.Response:
        length = request.content_length
        if length is None or length > MOST_BYTES:
            return _refused(f"the question is too long; expected at most {MOST_BYTES} bytes")
        try:
            questions = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _refused("the question is no JSON")
        if not isinstance(questions, list) or len(questions) > MOST_QUESTIONS:
            return _refused(f"expected a list of at most {MOST_QUESTIONS} questions")
        loop = asyncio.get_running_loop()
        answers = await loop.run_in_executor(
            None, lambda: [_try(nodes, q, desk) for q in questions]
        )
        return web.json_response(answers)


def _try(nodes: Mapping[str, type[MethodNode]], question: Any, desk: Desk) -> dict[str, Any]:
    """One answer; a question that cannot be read does not spoil the others."""
    try:
        return preview(nodes, question, desk)
    except BadRequest as error:
        return {"refused": str(error)}
    except Exception as error:
        LOG.exception("Step Cache: no preview")
        return {"refused": f"an error in Step Cache ({type(error).__name__}); see the log"}


def _refused(reason: str) -> web.Response:
    return web.json_response({"refused": f"Step Cache: {reason}"}, status=400)
