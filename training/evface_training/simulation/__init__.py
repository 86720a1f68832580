"""Annotated images → motion → light → an event camera → events, in batched torch."""
