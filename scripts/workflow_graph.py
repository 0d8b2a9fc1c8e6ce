"""A workflow under construction, in the form in which the front end saves it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH, GAP = 320, 60
NOTE_LETTERS, NOTE_LINE = 42, 20
"""Letters in a line of a note, and its height in pixels."""
LINK_TARGET = re.compile(r"\]\(\S+\)")
"""The part of a link that a note does not show."""


@dataclass(frozen=True, slots=True)
class File:
    """Weights that a loader names.

    Args:
        folder: below ComfyUI's folder `models`.
        name: of the file.
        repository: where it is published, on huggingface.co.
        path: of the file in there; empty where the front end has nothing that it may download.
    """

    folder: str
    name: str
    repository: str
    path: str = ""

    @property
    def page(self) -> str:
        """Where to read about it."""
        return f"https://huggingface.co/{self.repository}"

    def to_dict(self) -> dict[str, str]:
        """In the form in which the front end offers a missing file for download."""
        url = f"{self.page}/resolve/main/{self.path}"
        return {"name": self.name, "url": url, "directory": self.folder}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a node in a graph."""

    node: int
    slot: int
    type: str


@dataclass(slots=True)
class Graph:
    """A workflow under construction; nodes are stacked in columns, from the left."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    heights: dict[int, int] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        column: int,
        title: str,
        widgets: list[Any] | None = None,
        inputs: dict[str, Output] | None = None,
        outputs: tuple[tuple[str, str], ...] = (),
        height: int = 0,
        width: int = WIDTH,
        room: int = 0,
        files: Sequence[File] = (),
    ) -> list[Output]:
        """Add a node.

        Args:
            kind: its class in ComfyUI.
            column: where it stands, from 0.
            title: what stands above it.
            widgets: values of its widgets, in the order of the node's inputs.
            inputs: what is linked to its sockets.
            outputs: name and type of each of its outputs.
            height: height in pixels; by default what its sockets and widgets need.
            room: pixels more, for what the node draws on itself.
            width: width in pixels; only in the last column may it be more than a column has.
            files: weights that it loads.

        Returns:
            Its outputs.
        """
        number = len(self.nodes) + 1
        widgets, inputs = widgets or [], inputs or {}
        height = height or 40 + 24 * (max(len(inputs), len(outputs)) + len(widgets)) + room
        top = self.heights.get(column, 0)
        self.heights[column] = top + height + GAP
        sockets = [
            {"name": name, "type": source.type, "link": self._link(source, number, slot)}
            for slot, (name, source) in enumerate(inputs.items())
        ]
        properties: dict[str, Any] = {"Node name for S&R": kind}
        if offered := [file.to_dict() for file in files if file.path]:
            properties["models"] = offered
        self.nodes.append(
            {
                "id": number,
                "type": kind,
                "pos": [column * (WIDTH + GAP), top],
                "size": [width, height],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": sockets,
                "outputs": [{"name": n, "type": t, "links": []} for n, t in outputs],
                "title": title,
                "properties": properties,
                "widgets_values": widgets,
            }
        )
        return [Output(number, slot, type) for slot, (_, type) in enumerate(outputs)]

    def note(self, column: int, text: str, title: str = "Try this") -> None:
        """Add a note for the reader, as high as its lines need."""
        shown = LINK_TARGET.sub("]", text)
        lines = sum(1 + len(line) // NOTE_LETTERS for line in shown.split("\n"))
        height = max(220, NOTE_LINE * lines)
        self.add("MarkdownNote", column, title, [text], height=height)

    def to_json(self) -> str:
        """The workflow as the front end saves it."""
        workflow = {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }
        return json.dumps(workflow, indent=1) + "\n"

    def _link(self, source: Output, target: int, slot: int) -> int:
        number = len(self.links) + 1
        self.links.append([number, source.node, source.slot, target, slot, source.type])
        self.nodes[source.node - 1]["outputs"][source.slot]["links"].append(number)
        return number
