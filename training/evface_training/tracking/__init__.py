"""Simulated recordings of a whole sensor with known faces, and metrics of a tracker on them."""
