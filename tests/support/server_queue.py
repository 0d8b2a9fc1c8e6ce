"""What a running ComfyUI has to do, emptied."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from patience import HANG, until


def stop(address: str) -> None:
    """Take back what is queued, interrupt what runs, and wait until nothing does.

    What an earlier test left running would report on nodes of the same numbers.
    """

    def is_empty() -> bool:
        if not any(_ask(address, "/queue").values()):
            return True
        _ask(address, "/queue", {"clear": True})
        _ask(address, "/interrupt", {})
        return False

    until(is_empty)


def _ask(address: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address + path, data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=HANG) as answer:
        text = answer.read()
    return json.loads(text) if text else None
