"""How a site becomes real inside ComfyUI. The only room of the core that knows the host."""

from .attach import attach
from .installation import last_report

__all__ = ["attach", "last_report"]
