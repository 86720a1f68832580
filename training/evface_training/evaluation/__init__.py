"""Accuracy of a model through the `Predictor` that users have: landmarks, tracking, head pose."""
