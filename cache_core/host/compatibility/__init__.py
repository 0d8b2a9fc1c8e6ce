"""What a network is, which methods it accepts, and what else stands on it."""
