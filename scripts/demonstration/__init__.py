"""The demo: a genuine ComfyUI server, every workflow queued as the front end does, a comparison."""
