"""Where the time of a run goes, without the browser: `python scripts/audit.py --help`.

Prints what the node Speed Audit shows, and writes it as JSON and as a picture. Needs the
environment of `python scripts/test.py`. A tiny or reference model is asked with random prompts:
what they say makes no difference to the speed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import booted_on_device
from paths import ROOT

import comfy.samplers
import comfy.sd
import torch
import toys
from PIL import Image
from stepcache import audit as auditing
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach
from stepcache.nodes.speed_audit import SUGGESTED, suggestions

import nodes as host_nodes

OUTPUT = ROOT / "output" / "audit"

Asked = tuple[Any, Any, Any, dict[str, Any]]
"""Model, positive, negative, latent."""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    model: str | None
    checkpoint: Path | None
    prompt: str
    method: str | None
    set: list[str]
    steps: int
    size: int | None
    batch: int
    cfg: float
    sampler: str
    scheduler: str
    output: Path

    @property
    def name(self) -> str:
        """What the written files are named after."""
        return self.model or self.file.stem

    @property
    def file(self) -> Path:
        """The checkpoint, where there is no model: the parser wants one of both."""
        assert self.checkpoint is not None
        return self.checkpoint


def parse(arguments: list[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", choices=sorted(toys.TOYS), help="a reference or tiny model")
    which.add_argument("--checkpoint", type=Path, help="a checkpoint file with its text encoder")
    parser.add_argument("--prompt", default="a lighthouse at dusk", help="for a checkpoint")
    parser.add_argument("--method", choices=sorted(SUGGESTED), help="attach a method first")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an input of its node"
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, help="side of the latent (tiny), of the picture else")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--cfg", type=float, default=3.0)
    parser.add_argument("--sampler", choices=comfy.samplers.SAMPLER_NAMES, default="euler")
    parser.add_argument("--scheduler", choices=comfy.samplers.SCHEDULER_NAMES, default="simple")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the files")
    return Options(**vars(parser.parse_args(arguments)))


def asked_of(options: Options) -> Asked:
    """What is sampled."""
    if options.model is not None:
        latent = toys.TOYS[options.model].empty(options.batch, options.size)
        return toys.load(options.model), *toys.conditioning(options.model), {"samples": latent}
    if not options.file.is_file():
        raise StepCacheError(
            f"{options.file} is no file; expected a checkpoint. Give the path of one"
        )
    model, clip, *_ = comfy.sd.load_checkpoint_guess_config(str(options.file), output_vae=False)
    if model is None or clip is None:
        raise StepCacheError(
            f"{options.file.name} holds no diffusion model with its text encoder; expected a "
            f"whole checkpoint. For other files use the node Speed Audit"
        )
    encoder = host_nodes.CLIPTextEncode()
    side = options.size or 512
    latent = host_nodes.EmptyLatentImage().generate(side, side, options.batch)[0]
    return model, encoder.encode(clip, options.prompt)[0], encoder.encode(clip, "")[0], latent


def with_method(model: Any, options: Options) -> Any:
    """The model with the method of the command line."""
    if options.method is None:
        return model
    node = SUGGESTED[options.method]
    given = dict(each.split("=", 1) for each in options.set)
    inputs = node.defaults()
    unknown = given.keys() - inputs.keys()
    if unknown:
        raise StepCacheError(
            f"{options.method} has no input {', '.join(sorted(unknown))}; expected some of "
            f"{', '.join(inputs)}"
        )
    values = {name: type(inputs[name])(value) for name, value in given.items()}
    return attach(model, node.method(**{**inputs, **values}))


def main() -> int:
    """Audit, print, write. Returns the exit status."""
    options = parse()
    try:
        with torch.inference_mode():
            audit = _audit(options)
    except (StepCacheError, ValueError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    print(auditing.text_of(audit))
    for suffix, write in ((".json", _write_json), (".png", _write_picture)):
        path = options.output / f"{options.name}{suffix}"
        write(audit, path)
        print(f"wrote {path}")
    return 0


def _audit(options: Options) -> auditing.Audit:
    model, positive, negative, latent = asked_of(options)

    def sample(which: Any, steps: int, last: int | None = None, sampler: str | None = None) -> Any:
        return host_nodes.common_ksampler(
            which, 1, steps, options.cfg, sampler or options.sampler, options.scheduler, positive,
            negative, latent, last_step=last,
        )[0]  # fmt: skip

    patched = with_method(model, options)
    return auditing.audited(patched, sample, options.steps, suggestions(), may_draw=True)[1]


def _write_json(audit: auditing.Audit, path: Path) -> None:
    path.write_text(json.dumps(audit.to_dict(), indent=2) + "\n", encoding="utf-8")


def _write_picture(audit: auditing.Audit, path: Path) -> None:
    picture: Image.Image = auditing.drawn(audit)
    picture.save(path)


if __name__ == "__main__":
    sys.exit(main())
