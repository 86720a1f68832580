"""The face detector: a small network that sees the whole sensor, and the scenes it learns from."""
