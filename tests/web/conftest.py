"""These tests use the genuine front end of a genuine ComfyUI in a genuine browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host
import pytest
from frontend import FrontEnd, open_browser
from setup.browser import find_browser


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server with the pack and the demo's nodes, as people install them."""
    from demonstration.server import running_server

    log = tmp_path_factory.mktemp("server") / "server.log"
    comfyui = host.comfyui_path()
    with running_server(Path(sys.executable), comfyui, log, options=("--cpu",)) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, or the test is skipped by name."""
    if find_browser() is None:
        pytest.skip("no Chromium: install one, or name it in the variable CHROMIUM")
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session", params=["canvas", "nodes 2.0"])
def rendered(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[FrontEnd]:
    """The front end in one of its two renderers; one page for all tests."""
    with FrontEnd(browser, address, is_vue=request.param == "nodes 2.0").opened() as front_end:
        yield front_end


@pytest.fixture
def ui(rendered: FrontEnd) -> Iterator[FrontEnd]:
    """An empty graph, and afterwards no complaint of ours in the console."""
    rendered.clear()
    yield rendered
    assert rendered.complaints() == []
