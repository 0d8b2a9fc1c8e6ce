"""What each of the two commands needs, and how it is brought about."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import comfyui_given, cpu_wheels
from .browser import ensure_browser
from .comfyui_git import GitSource, ensure_checkout
from .comfyui_source import ensure_comfyui
from .comfyui_versions import NEWEST, Release, release_of
from .environment import Environment, Stage, pip_install
from .layout import HOSTS, VENV
from .progress import StepLine
from .stamps import is_stamped, write_stamp

TORCH = Stage("torch", "PyTorch", (("torch",),), 3_000_000_000)
TORCH_PACKAGES = ("torch", "torchvision", "torchaudio")
TOOLS = ("pytest", "pytest-xdist", "ruff", "basedpyright")
DEMO_PACKAGES = ("numpy", "scipy", "pillow", "safetensors", "aiohttp", "psutil")
PLOT_PACKAGES = (
    "matplotlib==3.10.8", "contourpy", "cycler", "fonttools", "kiwisolver", "pyparsing",
    "python-dateutil", "six",
)  # fmt: skip
"""For the benchmarks' pictures, with what they need beside DEMO_PACKAGES."""
FAST_TESTS = Stage(
    "fast-tests", "test tools", ((*TOOLS, *DEMO_PACKAGES, *PLOT_PACKAGES),), 650_000_000
)
BROWSER = Stage("browser", "browser tests", (("playwright",),), 300_000_000)
AUTHORS_PACKAGES = ("diffusers==0.42.1", "DeepCache==0.1.1")
ALONE = ("--no-deps", "tgate==1.0.0", "dit-smoothcache==0.1.1", "lpips==0.1.4")
"""They run as they are; tgate's accelerate is for something else, and lpips would fetch a torch."""
FIRST_TGATE = "tgate-0.1.2"
"""One name cannot be installed in two versions: the first is in a folder of its own."""


def _first_tgate(folder: Path) -> tuple[str, ...]:
    return ("--no-deps", "--target", str(folder / FIRST_TGATE), "tgate==0.1.2")


REFERENCE = Stage(
    "reference",
    "the methods' own packages",
    (AUTHORS_PACKAGES, ALONE, _first_tgate(VENV)),
    100_000_000,
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where things run.

    Args:
        python: the interpreter.
        comfyui: the folder with ComfyUI's `main.py`; None if none is needed.
        tools: a folder to put first on the module path; None if the interpreter has all.
    """

    python: Path
    comfyui: Path | None
    tools: Path | None = None


def prepare_demo(comfyui: Path | None) -> Runtime:
    """Everything that the demo needs.

    Args:
        comfyui: what `--comfyui` named.

    Raises:
        StepError: a step failed.
    """
    given = comfyui_given.given_comfyui(comfyui)
    return _with_own_comfyui() if given is None else _with_given(given)


def prepare_fast_tests() -> Runtime:
    """Everything that the tests without a host need.

    Raises:
        StepError: a step failed.
    """
    environment = Environment(VENV)
    environment.ensure([TORCH, FAST_TESTS])
    return Runtime(environment.python, None)


def prepare_all_tests(comfyui: Path | None) -> Runtime:
    """Everything that all tests need.

    Args:
        comfyui: what `--comfyui` named.

    Raises:
        StepError: a step failed.
    """
    given = comfyui_given.given_comfyui(comfyui)
    if given is not None:
        runtime = _with_given(given)
        return Runtime(runtime.python, given, _ensure_tools_beside(runtime.python))
    runtime = _with_own_comfyui()
    Environment(VENV).ensure([FAST_TESTS, REFERENCE, BROWSER])
    ensure_browser()
    return runtime


def prepare_host_tests(version: str) -> Runtime:
    """Everything that the tests inside one version of ComfyUI need.

    Args:
        version: what `--comfyui-version` named.

    Raises:
        StepError: the version is not known, or a step failed.
    """
    release = release_of(version)
    runtime = _with_own_comfyui(release)
    Environment(VENV).ensure([FAST_TESTS])
    return runtime


def prepare_git_tests(named: str) -> Runtime:
    """Everything that the tests inside a ComfyUI from git need.

    Args:
        named: what `--comfyui-git` named.

    Raises:
        StepError: a step failed.
    """
    git = GitSource.of(named)
    comfyui = ensure_checkout(git)
    environment = Environment(git.environment)
    environment.ensure([TORCH, comfyui_stage(comfyui), FAST_TESTS])
    return Runtime(environment.python, comfyui)


def comfyui_stage(comfyui: Path) -> Stage:
    """ComfyUI's own requirements, with its torch packages replaced by the pinned ones."""
    lines = (comfyui / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    others = [line for line in wanted if re.split(r"[<>=~!\[; ]", line)[0] not in TORCH_PACKAGES]
    return Stage(
        "comfyui",
        "ComfyUI's packages",
        (("--no-deps", "torchvision", "torchaudio"), tuple(others)),
        2_500_000_000,
        cpu_wheels.repair,
    )


def _with_own_comfyui(release: Release = NEWEST) -> Runtime:
    """All versions run in one environment, that of the newest.

    Elsewhere their requirements differ in the front end, in kernels for GPUs and in a library that
    opens windows for shaders, none of which a test touches.
    """
    environment = Environment(VENV)
    environment.ensure([TORCH])
    newest = ensure_comfyui(environment.python, NEWEST)
    environment.ensure([comfyui_stage(newest)])
    return Runtime(environment.python, ensure_comfyui(environment.python, release))


def _with_given(comfyui: Path) -> Runtime:
    line = StepLine(f"using the ComfyUI in {comfyui}")
    python = comfyui_given.python_of(comfyui)
    version = comfyui_given.version_of(comfyui)
    remark = comfyui_given.remark_on(version)
    line.done(f"version {version}" + (f", {remark}" if remark else ""))
    return Runtime(python, comfyui)


def _ensure_tools_beside(python: Path) -> Path:
    """Test tools for a Python that is not ours: in a folder of ours, so that it stays as it is."""
    folder = HOSTS / "test-tools"
    stamp = folder / "stepcache-tools.json"
    content = {
        **FAST_TESTS.content,
        "python": str(python),
        "tools": " ".join(TOOLS),
        "authors": " ".join((*AUTHORS_PACKAGES, *ALONE, FIRST_TGATE, *PLOT_PACKAGES)),
    }
    if is_stamped(stamp, content):
        return folder
    line = StepLine(FAST_TESTS.title)
    HOSTS.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=HOSTS, prefix="installing-") as scratch:
        target = Path(scratch) / "tools"
        into = ("--target", str(target))
        pip_install(python, line, FAST_TESTS.title, (*into, *TOOLS))
        packages = (*ALONE, *AUTHORS_PACKAGES, *PLOT_PACKAGES, "importlib_metadata", "zipp")
        for arguments in ((*into, *packages), _first_tgate(target)):
            pip_install(python, line, REFERENCE.title, arguments)
        target.replace(folder)
    write_stamp(stamp, content)
    line.done()
    return folder
