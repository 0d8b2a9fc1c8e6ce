"""Every command that a page tells people to run, in its shortest real form."""

from __future__ import annotations

from pathlib import Path

import pack

import pytest
from setup.browser import find_browser
from walks import WALKS
from walks.walk import copy_of_project, go

pytestmark = pytest.mark.skipif(
    not (pack.ROOT / ".git").exists(), reason="what git tracks is copied: needs a checkout"
)


@pytest.mark.parametrize("name", WALKS)
def test_it_does_what_the_page_says(name: str, tmp_path: Path) -> None:
    walk = WALKS[name]
    if walk.needs_browser and find_browser() is None:
        pytest.skip("no Chromium: install one, or name it in the variable CHROMIUM")
    copy = tmp_path / "ComfyUI-StepCache"
    copy_of_project(pack.ROOT, copy)
    assert go(walk, copy) > 0
