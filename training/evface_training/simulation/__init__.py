"""Annotated pictures → motion → light → an event camera → events, in batched torch."""
