"""Measurements of our own: `python -m benchmarks`. Not part of the installed package."""
