"""Talks to the server as the front end does: POST /prompt, events over the websocket, GET /view."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from .prompts import JUDGES, SAMPLERS, Prompt, Workflow, nodes_of

REPORT_KEY = "stepcache_report"
SILENCE_SECONDS = 1800


class RunError(RuntimeError):
    """The server refused or could not finish a prompt; the message is in the server's words."""


@dataclass(slots=True)
class Run:
    """What one prompt gave.

    Args:
        seed: of the sampler's noise.
        sampler_seconds: from the sampler's start to the start of the node after it.
        steps: sampler steps, as its progress counted them.
        pictures: encoded pictures of the saving nodes, in order; previews are none.
        reports: parsed reports of Step Cache Report nodes.
        texts: what the judge said.
    """

    seed: int
    sampler_seconds: float = 0.0
    steps: int = 0
    pictures: list[bytes] = field(default_factory=list[bytes])
    reports: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    texts: list[str] = field(default_factory=list[str])


class Client:
    """A connection to one server; an asynchronous context manager.

    Args:
        address: e.g. "http://127.0.0.1:8188".
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._identity = uuid.uuid4().hex

    async def __aenter__(self) -> Client:
        self._http = aiohttp.ClientSession(self._address)
        self._events = await self._http.ws_connect(f"/ws?clientId={self._identity}", max_msg_size=0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._events.close()
        await self._http.close()

    async def object_info(self) -> dict[str, Any]:
        """Every node that the server has."""
        async with self._http.get("/object_info") as answer:
            return await answer.json()

    async def run(
        self,
        prompt: Prompt,
        workflow: Workflow,
        seed: int,
        show: Callable[[int, int], None],
    ) -> Run:
        """Queue a prompt and wait until it is done.

        Args:
            prompt: what is executed.
            workflow: the file it came from; the server stores it in the pictures.
            seed: only noted in the result.
            show: called with (steps done, steps in all) as the sampler proceeds.

        Raises:
            RunError: the prompt was refused or failed.
            aiohttp.ClientError: the server is gone.
            asyncio.TimeoutError: it said nothing for SILENCE_SECONDS.
        """
        body = {
            "prompt": prompt,
            "client_id": self._identity,
            "extra_data": {"extra_pnginfo": {"workflow": workflow}},
        }
        async with self._http.post("/prompt", json=body) as answer:
            accepted = await answer.json(content_type=None)
        if "prompt_id" not in accepted or accepted.get("node_errors"):
            raise RunError(_refusal(accepted))
        run = Run(seed)
        shown = await self._follow(accepted["prompt_id"], nodes_of(prompt, SAMPLERS), run, show)
        judges = nodes_of(prompt, JUDGES)
        for node, output in shown:
            await self._collect(output, run, is_judge=node in judges)
        return run

    async def _follow(
        self, prompt_id: str, samplers: set[str], run: Run, show: Callable[[int, int], None]
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Every node that showed something, and what."""
        outputs: list[tuple[str, Mapping[str, Any]]] = []
        since: float | None = None
        while True:
            message = await self._events.receive(timeout=SILENCE_SECONDS)
            now = time.perf_counter()
            if message.type == aiohttp.WSMsgType.BINARY:
                continue
            if message.type != aiohttp.WSMsgType.TEXT:
                raise aiohttp.ServerDisconnectedError("the server closed the websocket")
            event = json.loads(message.data)
            kind, data = event["type"], event["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            if kind in ("executing", "execution_success", "execution_error"):
                if since is not None:
                    run.sampler_seconds += now - since
                since = now if kind == "executing" and data["node"] in samplers else None
            if kind == "progress" and data["node"] in samplers:
                run.steps = data["max"]
                show(data["value"], data["max"])
            elif kind == "executed" and data.get("output"):
                outputs.append((data["node"], data["output"]))
            elif kind == "execution_error":
                raise RunError(f"{data['node_type']}: {data['exception_message'].strip()}")
            elif kind == "execution_interrupted":
                raise RunError("it was interrupted in the server")
            elif kind == "execution_success":
                return outputs

    async def _collect(self, output: Mapping[str, Any], run: Run, *, is_judge: bool) -> None:
        for image in output.get("images", ()):
            if image["type"] != "output":
                continue
            async with self._http.get("/view", params=image) as answer:
                answer.raise_for_status()
                run.pictures.append(await answer.read())
        run.reports += [json.loads(text) for text in output.get(REPORT_KEY, ())]
        if is_judge:
            run.texts += output.get("text", ())


def _refusal(answer: Mapping[str, Any]) -> str:
    errors = [
        f"{node['class_type']}: {error['message']} ({error.get('details', '')})"
        for node in answer.get("node_errors", {}).values()
        for error in node["errors"]
    ]
    general = answer.get("error") or {}
    return "; ".join(errors) or general.get("message", "") or json.dumps(dict(answer))
