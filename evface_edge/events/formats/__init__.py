"""Recording formats: one file each, and their table in `table.py`."""
