"""The same landmarks on every processor: bundled models on emulated instruction sets."""
