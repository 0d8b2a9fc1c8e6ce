"""What a running ComfyUI has to do, emptied."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

SECONDS = 60.0


def stop(address: str) -> None:
    """Take back what is queued, interrupt what runs, and wait until nothing does.

    What an earlier test left running would report on nodes of the same numbers.
    """
    end = time.monotonic() + SECONDS
    while any(_ask(address, "/queue").values()):
        assert time.monotonic() < end, "the server does not stop"
        _ask(address, "/queue", {"clear": True})
        _ask(address, "/interrupt", {})
        time.sleep(0.05)


def _ask(address: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address + path, data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        text = answer.read()
    return json.loads(text) if text else None
