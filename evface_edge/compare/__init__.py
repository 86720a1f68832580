"""Several artefacts on the same recordings, side by side.

recordings ─▶ `accuracy` (instants) ─▶ `figures` (numbers) ─▶ `images`, `page`, `baseline`
"""
