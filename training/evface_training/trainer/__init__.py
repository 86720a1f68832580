"""The training loop: schedule, data stream, optimiser, validation, log, and where it runs."""
