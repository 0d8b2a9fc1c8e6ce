"""Calibrations, schedules and runs as pictures. Pillow and numpy draw them; no ComfyUI."""

from .audit import draw_audit
from .compare import draw_compare
from .picture import draw, draw_schedule, to_image
from .run import draw_run, draw_words

__all__ = [
    "draw",
    "draw_audit",
    "draw_compare",
    "draw_run",
    "draw_schedule",
    "draw_words",
    "to_image",
]
