"""Pictures of four fabrics with letters on them: captions, drawing, judge. No ComfyUI is needed."""
