"""How each command of the pages is shown to work; all others are refused by a test."""

from __future__ import annotations

from .of_benchmarks import WALKS as OF_BENCHMARKS
from .of_scripts import WALKS as OF_SCRIPTS

WALKS = {walk.steps[0].command: walk for walk in (*OF_SCRIPTS, *OF_BENCHMARKS)}
"""What is run, by its first command."""

NAMED = {
    "python -m benchmarks": "python -m benchmarks run",
    "python -m benchmarks forecast": "python -m benchmarks forecast --threads 1",
    "python -m benchmarks gpu": "python -m benchmarks gpu --tiny",
    "python -m benchmarks int8_quality": (
        "python -m benchmarks int8_quality --threads 2 --count 100"
    ),
    "python -m benchmarks quality": "python -m benchmarks quality --threads 2",
    "python -m benchmarks quality_calibrated": (
        "python -m benchmarks quality_calibrated --threads 2"
    ),
    "python scripts/audit.py": "python scripts/audit.py --checkpoint my_model.safetensors",
    "git clone": "git clone https://github.com/comfyui-stepcache/ComfyUI-StepCache",
}
"""Names of programs, and commands that differ from another one in nothing that could break."""

SHOWN = {
    "python scripts/test.py": (".ci/run", "scripts/test.py"),
    "python scripts/test.py --fast": ("tests/commands/test_fast.py", "def test_the_fast_tests_"),
    "python scripts/test.py -- -k interrupts": (
        ".github/workflows/release.yml",
        "scripts/test.py -- tests/comfy/test_archive.py",
    ),
    # It fetches that version from the network; the page has its row because it was run.
    "python scripts/test.py --comfyui-version 0.16.3": ("docs/hosts.md", "| 0.16.3 |"),
    "python scripts/test.py --comfyui-git https://github.com/Comfy-Org/ComfyUI@v0.33.0": (
        "tests/unit/test_setup_git.py",
        "def test_a_tag_a_commit_and_what_is_newest",
    ),
    "python scripts/demo.py": ("tests/commands/test_demo.py", '"scripts/demo.py"'),
    "python scripts/demo.py --thumbnails": ("tests/commands/test_demo.py", '"--thumbnails"'),
    # What a person tried once with programs that are not in the tests' environment; what the pack
    # has to have for it is seen here.
    "comfy node install comfyui-stepcache": ("pyproject.toml", 'name = "comfyui-stepcache"'),
    "comfy node publish": (".github/workflows/release.yml", "publish-node-action@"),
    "comfy node validate": ("tests/comfy/test_pyproject.py", "def test_"),
    "comfy node pack": ("tests/comfy/test_archive.py", "test_the_registry_packs_the_same"),
    "python main.py --enable-manager": ("tests/comfy/test_archive.py", "test_installed_it_is_"),
    "python -s main.py --windows-standalone-build": (
        "tests/comfy/test_archive.py",
        "--windows-standalone-build",
    ),
}
"""What is run elsewhere: the file that runs it or sees to it, and the words that are there."""
