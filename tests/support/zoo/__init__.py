"""A tiny model of every family, each group in its file."""

from __future__ import annotations

from toy import Toy

from . import crossed, double_stream, joint, others

TOYS: dict[str, Toy] = {
    **double_stream.TOYS,
    **joint.TOYS,
    **crossed.TOYS,
    **others.TOYS,
}
