"""Training of the demo models; nothing here is needed to run them."""
