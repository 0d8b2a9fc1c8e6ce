"""Synthetic scenes of shapes: captions, pictures, the canvas the models paint, and the judge."""
