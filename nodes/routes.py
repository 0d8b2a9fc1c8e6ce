"""The one route of the pack: what nodes will do, for the strips on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from server import PromptServer

from .method_node import MethodNode
from .preview import BadRequest, preview

PATH = "/stepcache/preview"
MOST_BYTES = 2**20
MOST_QUESTIONS = 200


def register(nodes: Mapping[str, type[MethodNode]]) -> None:
    """Let the running server answer; without one (a script) there is nobody to ask."""
    server: Any = getattr(PromptServer, "instance", None)
    if server is None:
        return

    @server.routes.post(PATH)
    async def answer(request: web.Request) -> web.Response:
        if (request.content_length or MOST_BYTES + 1) > MOST_BYTES:
            return _refused("the question is too long")
        try:
            questions = json.loads(await request.read())
        except ValueError:
            return _refused("the question is no JSON")
        if not isinstance(questions, list) or len(questions) > MOST_QUESTIONS:
            return _refused(f"expected a list of at most {MOST_QUESTIONS} questions")
        loop = asyncio.get_running_loop()
        answers = await loop.run_in_executor(None, lambda: [_try(nodes, q) for q in questions])
        return web.json_response(answers)


def _try(nodes: Mapping[str, type[MethodNode]], question: Any) -> dict[str, Any]:
    """One answer; a question that cannot be read does not spoil the others."""
    try:
        return preview(nodes, question)
    except BadRequest as error:
        return {"refused": str(error)}


def _refused(reason: str) -> web.Response:
    return web.json_response({"refused": f"Step Cache: {reason}"}, status=400)
