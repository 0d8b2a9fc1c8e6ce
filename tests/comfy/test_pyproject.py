"""What ComfyUI, and with it the registry, reads out of pyproject.toml."""

from __future__ import annotations

from pack import ROOT

import host
from build_archive import NAME
from bump_version import version_of


def test_comfyui_reads_what_pyproject_tells() -> None:
    parser = host.module("comfy_config.config_parser", "reading pyproject.toml")
    found = parser.extract_node_configuration(str(ROOT))
    project, comfy = found.project, found.tool_comfy
    assert (project.name, project.version) == (NAME, version_of(ROOT))
    assert project.supported_os == ["OS Independent"]
    assert project.supported_accelerators == [
        "GPU :: NVIDIA CUDA", "GPU :: AMD ROCm", "GPU :: Intel Arc", "GPU :: Apple Metal",
    ]  # fmt: skip
    assert project.supported_comfyui_version == ">=0.16.3"
    assert project.license.file == "LICENSE"
    assert project.dependencies == []
    assert project.urls.repository.startswith("https://github.com/")
    assert project.urls.issues == f"{project.urls.repository}/issues"
    assert comfy.publisher_id and comfy.display_name == "Step Cache"
    assert comfy.icon.endswith("/docs/icon.png")
    assert comfy.web is None, "__init__.py names the folder; named twice, it is served twice"
