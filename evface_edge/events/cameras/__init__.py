"""Live sources: one file each, and their table in `table.py`."""
