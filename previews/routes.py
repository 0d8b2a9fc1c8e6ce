"""The one route of the pack: which nodes have a strip (GET), and what they will do (POST)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from server import PromptServer

from .executor import Busy, PreviewExecutor
from .request import BadRequest, PreviewedNode

PATH = "/stepcache/preview"
MAX_BYTES = 2**20
"""Of a request, once it is unpacked."""


def register(nodes: Mapping[str, type[PreviewedNode]]) -> None:
    """Let the running server answer; without one (a script) there is nobody to ask."""
    server: Any = getattr(PromptServer, "instance", None)
    if server is None:
        return

    @server.routes.get(PATH)
    async def kinds(_: web.Request) -> web.Response:
        return web.json_response(list(nodes))

    answering = PreviewExecutor(nodes, lambda: server.prompt_queue.get_tasks_remaining() > 0)

    @server.routes.post(PATH)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            body = await _body(request)
            if body is None:
                return await _too_long(request)
            text = await answering.answer(body, lambda: _is_open(request))
        except web.RequestPayloadError:
            return _refused("the question is not packed as it says")
        except BadRequest as error:
            return _refused(str(error))
        except Busy:
            return _refused("the server answers others; ask again in a moment", 503)
        return web.Response(text=text, content_type="application/json")


async def _body(request: web.Request) -> bytes | None:
    """The body, None where it is too long: little may unpack to very much."""
    if (request.content_length or 0) > MAX_BYTES:
        return None
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


async def _too_long(request: web.Request) -> web.StreamResponse:
    response = _refused(f"the question is too long; expected at most {MAX_BYTES} bytes")
    if request.headers.get("Content-Encoding"):
        # Otherwise the host would unpack the rest, to throw it away.
        await response.prepare(request)
        await response.write_eof()
        request.protocol.force_close()
    return response


def _is_open(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _refused(reason: str, status: int = 400) -> web.Response:
    return web.json_response({"refused": f"Step Cache: {reason}"}, status=status)
