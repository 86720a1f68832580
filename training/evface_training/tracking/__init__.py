"""Tracking measured: simulated full-sensor sequences with known truth, and what became of them."""
