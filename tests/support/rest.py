"""How tests wait for a page to come to rest: by what it does, not by time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from frontend import STRIP, FrontEnd

MAX_ROUNDS = 20
"""Looks that a page may take to come to rest."""


@contextmanager
def questions(ui: FrontEnd) -> Iterator[list[Any]]:
    """What the server is asked about strips meanwhile, request by request."""
    asked: list[Any] = []

    def listen(request: Any) -> None:
        if "stepcache/preview" in request.url:
            asked.append(json.loads(request.post_data))

    ui.page.on("request", listen)
    try:
        yield asked
    finally:
        ui.page.remove_listener("request", listen)


def frames(ui: FrontEnd, count: int = 3) -> None:
    """Wait until the page has been drawn so often."""
    ui.page.evaluate(
        """async (count) => {
            for (let drawn = 0; drawn < count; drawn++) {
                await new Promise((done) => requestAnimationFrame(done));
            }
        }""",
        count,
    )


def looks(ui: FrontEnd, count: int = 3) -> int:
    """Wait until the graph has been looked at so often, as it is every now and then.

    Returns:
        How often something in a strip has changed meanwhile.
    """
    return ui.page.evaluate(
        """async ([strip, count]) => {
            let changes = 0;
            const watch = new MutationObserver((found) => (changes += found.length));
            const all = { subtree: true, childList: true, attributes: true, characterData: true };
            for (const each of document.querySelectorAll(strip)) watch.observe(each, all);
            await new Promise((done) => {
                // A look begins with this question: the one after the last tells that it is over.
                const get = () => (count-- > 0 ? false : (done(), false));
                Object.defineProperty(document, "hidden", { configurable: true, get });
            });
            delete document.hidden;
            watch.disconnect();
            return changes;
        }""",
        [STRIP, count],
    )


def is_at_rest(ui: FrontEnd) -> bool:
    """Whether nothing is asked and drawn while the graph is looked at and nothing moves in it."""
    with questions(ui) as asked:
        changes = looks(ui)
    return not changes and not asked


def settle(ui: FrontEnd) -> None:
    """Wait until the page is at rest, which has to be soon."""
    assert any(is_at_rest(ui) for _ in range(MAX_ROUNDS)), "the strips never come to rest"
