"""A calibration and its schedule as a picture. Pillow and numpy draw it; no ComfyUI."""

from .picture import draw, draw_schedule, to_image

__all__ = ["draw", "draw_schedule", "to_image"]
