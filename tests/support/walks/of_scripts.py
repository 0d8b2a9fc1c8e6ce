"""The commands of README.md, CONTRIBUTING.md, demo/ and docs/."""

from __future__ import annotations

import json
from pathlib import Path

import checkpoint_file
import host

from . import checks
from .walk import Step, Walk

CLONES = "output/custom_nodes"
PUBLISHED = "https://github.com/comfyui-stepcache/ComfyUI-StepCache"
PICTURE = "web/docs/pictures/StepCacheApplyPAB.jpg"
TRAINED = "--batch 2 --steps 2"
NETWORKS = {
    "dit": "shapes_dit",
    "unet": "shapes_unet",
    "textures": "textures_unet",
    "decoder": "shapes_decoder",
}
"""What is trained, and what it is called as a file."""


def _custom_nodes(root: Path) -> None:
    (root / CLONES).mkdir(parents=True)


def _checkpoint(root: Path) -> None:
    host.boot(cpu=True)
    checkpoint_file.write_checkpoint(root / "my_model.safetensors")


def _trained(name: str) -> Step:
    steps = {"dit": 6000, "unet": 4500, "textures": 6000, "decoder": 1500}[name]
    return Step(
        f"python -m demo.train.train --model {name} --steps {steps}",
        TRAINED,
        leaves=(f"train-out/{name}.pt", f"train-out/{name}_loss.csv"),
    )


def _is_exported(root: Path) -> None:
    for file in NETWORKS.values():
        (line,) = (root / f"demo/models/{file}_loss.csv").read_text().splitlines()[1:]
        assert line.startswith("2,")
        checks.picture(f"demo/models/{file}_loss.png", 720)(root)


OTHER = json.dumps(
    {"nodes": [{"id": 7, "type": "TeaCache", "widgets_values": ["flux", 0.4, 0.1, 0.9, "cuda"]}]}
)
"""A graph with a node of another pack."""

WALKS = (
    Walk((Step("python scripts/build_workflows.py", before=checks.without("workflows/*.json")),)),
    Walk((Step("python scripts/from_other_packs.py my_workflow.json",
               before=checks.written("my_workflow.json", OTHER), leaves=("my_workflow.json",),
               says="node 7, TeaCache .* -> Step Cache: start_percent 0.1, end_percent 0.9"),)),
    Walk((Step("python scripts/locale_sources.py zh ja ko",
               before=checks.without("locales/*/sources.json")),)),
    Walk((Step("python scripts/help_tables.py", before=checks.emptied("web/docs/*.md")),)),
    Walk((
        Step("python scripts/draw_icon.py",
             before=checks.without("docs/icon.png", "docs/banner.png"),
             may_leave=("docs/icon.png", "docs/banner.png"),
             check=checks.both(checks.picture("docs/icon.png", 400),
                               checks.picture("docs/banner.png", 1280))),
    )),
    Walk((
        Step("python scripts/workflow_thumbnails.py", may_leave=("workflows/*.jpg",),
             before=checks.without("workflows/checkpoint_*.jpg", "workflows/compare_dit.jpg"),
             check=checks.picture("workflows/checkpoint_pab.jpg", 512)),
    )),
    Walk((
        Step("python scripts/help_pictures.py", "StepCacheApplyPAB --count 2 --steps 4",
             leaves=(PICTURE,), check=checks.picture(PICTURE, 512)),
    )),
    Walk((
        Step("python scripts/calibrate_reference.py", "--models dit --steps 4",
             says="8 captions", leaves=("calibrations/shapes dit, 4 steps.json",),
             check=checks.holds("calibrations/shapes dit, 4 steps.json",
                                lambda found: found["run"]["steps"] == 4)),
    )),
    Walk((
        Step("python scripts/look_at_model.py mochi",
             says=r"(?m)^blocks\.N\.attn +AsymmetricAttention +1 +\(2×8×32, 2×7×32\)"),
        Step("python -m pytest -q tests/contract -k mochi", "-k 'mochi and law_6'",
             says=r"\d+ passed"),
        Step("python scripts/support_table.py",
             before=checks.without("docs/support.md")),
    )),
    Walk((
        Step("python scripts/audit.py --checkpoint my_model.safetensors", "--size 64 --steps 4",
             before=_checkpoint, leaves=("my_model.safetensors",), says="What to do",
             check=checks.both(checks.picture("output/audit/my_model.png", 1024),
                               checks.holds("output/audit/my_model.json",
                                            lambda f: f["steps"] == 4))),
    )),
    Walk(
        (
            Step("export COMFYUI_PATH=/path/to/ComfyUI"),
            *map(_trained, NETWORKS),
            Step("python -m demo.train.export", says="shapes_dit.safetensors: step 2",
                 leaves=tuple(f"demo/models/{file}{end}" for file in NETWORKS.values()
                              for end in (".safetensors", "_loss.csv", "_loss.png")),
                 check=_is_exported),
            Step("python -m demo.evaluate --model dit --count 500", "--count 1 --steps 4",
                 says='"captions": 1,'),
            Step("python -m demo.evaluate --model textures --count 500", "--count 1 --steps 4",
                 says='"fabrics": '),
        ),
        places={"/path/to/ComfyUI": "{comfyui}"},
    ),
    # That a host loads and serves a clone is seen by tests/comfy/test_archive.py.
    Walk(
        (
            Step(f"git clone {PUBLISHED}", before=_custom_nodes, folder=CLONES,
                 check=checks.is_up_to_date),
            Step("git pull", before=checks.newer_origin, folder=f"{CLONES}/ComfyUI-StepCache",
                 says="Fast-forward|Updating", check=checks.is_up_to_date),
        ),
        # Behind the address the folder's name: that of the repository there.
        places={PUBLISHED: "{root} ComfyUI-StepCache"},
        is_repository=True,
    ),
    Walk(
        (
            Step("python scripts/bump_version.py X.Y.Z", says="keep_workflow",
                 leaves=("CHANGELOG.md", "pyproject.toml", "cache_core/version.py")),
            Step("python scripts/keep_workflow.py", leaves=("tests/saved/9.0.0.json",)),
            Step("git add tests/saved"),
            Step('git commit -am "Version X.Y.Z" && git tag -m "Version X.Y.Z" vX.Y.Z '
                 "&& git push --follow-tags", check=checks.is_released),
            Step("python scripts/build_archive.py", "--tag v9.0.0", says=r"9\.0\.0\.zip: \d+ files",
                 leaves=("dist/comfyui-stepcache-9.0.0.zip", "dist/release_notes.md")),
        ),
        places={"X.Y.Z": "9.0.0"},
        is_repository=True,
        needs_browser=True,
    ),
)  # fmt: skip
