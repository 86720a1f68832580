"""Self-supervised multi-event representation learning (SSMER, arXiv 2509.24968)."""
