"""What the demo can be told. Standard library only: it is read before anything is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

EPILOG = """\
examples:
  python scripts/demo.py                  the demo's own small models: plain and each method
  python scripts/demo.py --quick          the same with three rounds instead of nine
  python scripts/demo.py --serve          leave ComfyUI running, to open the workflows in a browser
  python scripts/demo.py --model sd15.safetensors --steps 20
"""

QUICK_ROUNDS = 3
"""The fewest that tell a speedup."""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says, None where it was left away."""

    comfyui: Path | None
    model: Path | None
    only: str | None
    rounds: int
    quick: bool
    seed: int
    steps: int | None
    width: int | None
    height: int | None
    prompt: str | None
    cpu: bool
    port: int | None
    serve: bool
    thumbnails: bool


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line; ends the program on a wrong one.

    Args:
        arguments: without the program's name; those of this process by default.
    """
    parser = argparse.ArgumentParser(
        prog="demo.py",
        description="Compare every method with the plain run, in a genuine ComfyUI.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--comfyui", type=Path, metavar="DIR", help="use this ComfyUI and its Python")
    add(
        "--model",
        type=Path,
        metavar="FILE",
        help="compare on this checkpoint (.safetensors); what needs a calibration is left out",
    )
    add("--only", metavar="TEXT", help="only the models whose name contains this: unet, dit, clip")
    add("--rounds", type=_at_least(1), default=9, help="paired repetitions (default 9)")
    add("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    add("--seed", type=_at_least(0), default=1, help="seed of the first round (default 1)")
    add("--steps", type=_at_least(1), help="sampler steps instead of the workflow's")
    add("--width", type=_at_least(16), help="with --model: pixels (default 512)")
    add("--height", type=_at_least(16), help="with --model: pixels (default 512)")
    add("--prompt", help="with --model: what the picture shows")
    add("--cpu", action="store_true", help="use the CPU even if there is a GPU")
    add("--port", type=_port, help="port of the server (default: any free one)")
    add("--serve", action="store_true", help="leave the server running until Ctrl-C")
    add("--thumbnails", action="store_true", help="also write the pictures of workflows/")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.model is None:
        for name in ("width", "height", "prompt"):
            if getattr(options, name) is not None:
                parser.error(f"--{name} goes with --model; the demo's own models have one size")
    return replace(options, rounds=QUICK_ROUNDS) if options.quick else options


def _at_least(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f"{value} is below {lowest}")
        return value

    return number


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{value} is not between 1 and 65535")
    return value
