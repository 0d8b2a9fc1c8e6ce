"""The commands that the Markdown pages of the project tell people to run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

PROGRAMS = frozenset({
    "apt", "bash", "brew", "cd", "comfy", "conda", "curl", "docker", "export", "gh", "git", "make",
    "npm", "npx", "pip", "pipx", "pytest", "python", "python3", "ruff", "set", "sh", "uv", "wget",
})  # fmt: skip
"""First words of a command. A span of one such word alone is a name, not a command."""
SHELLS = frozenset({"sh", "bash", "shell", "console", "bat", "powershell"})
"""Languages of fenced blocks in which every line is a command."""
FENCE = re.compile(r" {0,3}```(?P<language>\w*)")
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
COMMENT = re.compile(r"(^|\s)#\s.*$")
PROMPT = re.compile(r"^(\$|>) ")
OWN_PYTHON = re.compile(r"^\.venv[/\\](bin|Scripts)[/\\]python(\.exe)?(?=\s)")
MAIN = 'if __name__ == "__main__":'


def commands_of(root: Path, page: str) -> list[str]:
    """The commands of a page, in its order, each once: paths from the root, "python" for any.

    Args:
        root: of the project.
        page: path of the page from there.
    """
    text = (root / page).read_text(encoding="utf-8")
    folder = PurePosixPath(page).parent
    found = [_normal(root, folder, told, must_be) for told, must_be in _told(text)]
    return list(dict.fromkeys(command for command in found if command))


def words_of(command: str) -> list[list[str]]:
    """The words of a command line, apart where && joins several."""
    return [shlex.split(part) for part in command.split("&&")]


def _told(text: str) -> Iterator[tuple[str, bool]]:
    """Lines of code blocks, whole, and spans of code; and whether it has to be a command."""
    language: str | None = None
    paragraph, line, is_indented = "", "", False
    for each in [*text.splitlines(), ""]:
        fence, is_blank = FENCE.match(each), not each.strip()
        is_indented = language is None and each.startswith("    ") and not (paragraph or is_blank)
        if fence or is_blank or is_indented:
            yield from ((span, False) for span in SPAN.findall(paragraph))
            paragraph = ""
        if fence:
            language = None if language is not None else fence["language"]
        elif language is None and not is_indented:
            paragraph += "" if is_blank else f"{each}\n"
        else:
            line += PROMPT.sub("", COMMENT.sub("", each).strip())
            if line.endswith("\\"):
                line = line[:-1]
            elif line:
                yield line, language in SHELLS
                line = ""


def _normal(root: Path, folder: PurePosixPath, told: str, must_be: bool) -> str | None:
    """A command as it is known by, or None where the text is something else."""
    told = " ".join(OWN_PYTHON.sub("python", told).split())
    first, _, rest = told.partition(" ")
    if _program(root, folder, first) is not None:
        first, rest = "python", told
    if first == "python":
        path, _, behind = rest.partition(" ")
        program = _program(root, folder, path)
        return f"python {program} {behind}".strip() if program else rest and f"python {rest}"
    return told if must_be or (first in PROGRAMS and rest) else None


@cache
def _program(root: Path, folder: PurePosixPath, path: str) -> str | None:
    """The path from the root of a file that is there to be run."""
    if not path.endswith(".py"):
        return None
    for found in (PurePosixPath(path), folder / path):
        file = root / found
        if file.is_file() and MAIN in file.read_text(encoding="utf-8"):
            return found.as_posix()
    return None
