"""The commands that pages tell people to run: each is known to a test."""

from __future__ import annotations

from pathlib import Path

import pack

import pytest
from walks import NAMED, SHOWN, WALKS
from walks.pages import commands_of

RUN = {step.command for walk in WALKS.values() for step in walk.steps}
KNOWN = {*RUN, *NAMED, *SHOWN}
LEFT_OUT = {".venv", ".comfyui", ".typing", "output", "node_modules"}
PAGES = sorted(
    path.relative_to(pack.ROOT).as_posix()
    for path in pack.ROOT.rglob("*.md")
    if not LEFT_OUT & {*path.relative_to(pack.ROOT).parts}
)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_known(page: str) -> None:
    unknown = [each for each in commands_of(pack.ROOT, page) if each not in KNOWN]
    assert not unknown, f"add to tests/support/walks how each is run: {unknown}"


def test_every_known_command_is_on_a_page() -> None:
    told = {each for page in PAGES for each in commands_of(pack.ROOT, page)}
    assert sorted(KNOWN - told) == []


def test_a_command_is_known_in_one_way() -> None:
    assert len(KNOWN) == len(RUN) + len(NAMED) + len(SHOWN)
    assert {*NAMED.values()} <= {*RUN, *SHOWN}


@pytest.mark.parametrize("command", SHOWN)
def test_what_is_shown_elsewhere_is_there(command: str) -> None:
    name, words = SHOWN[command]
    assert words in (pack.ROOT / name).read_text(encoding="utf-8")


PAGE = """# A page
Say `python scripts/test.py --fast` or
`scripts/demo.py
--quick`, `demo.py`, `cache_core/plan.py`, `git`, `--count 50` and ``x ` y``.

    $ .venv/bin/python -m benchmarks run \\
        --list  # names
    table  of  words
    git add . && git push

```sh
new-program --now   # not known yet
# only words
```
```
folder/   is no command
pip install torch
```
1. In a list

       python scripts/test.py
"""


def test_commands_are_found_wherever_a_page_has_them(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("test.py", "demo.py"):
        (tmp_path / "scripts" / name).write_text('if __name__ == "__main__":\n    pass\n')
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    assert commands_of(tmp_path, "page.md") == [
        "python scripts/test.py --fast",
        "python scripts/demo.py --quick",
        "python -m benchmarks run --list",
        "git add . && git push",
        "new-program --now",
        "pip install torch",
        "python scripts/test.py",
    ]
