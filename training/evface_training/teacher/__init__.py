"""The teacher: sparse patches of events and RGB, fused by attention (CMFA, arXiv 2509.24968)."""
