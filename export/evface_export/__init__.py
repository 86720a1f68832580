"""Export a model for a device. Write nothing if its landmarks differ too much."""
