"""Training for evface-edge: faces to events, networks, losses, evaluation."""
