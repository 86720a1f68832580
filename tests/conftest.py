"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Faces and recordings that are not part of the repository; the test is skipped without."""
    sibling = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EVFACE_SHARED_DATA", sibling))
    if not folder.is_dir():
        pytest.skip(f"no face and event recordings at {folder} (set EVFACE_SHARED_DATA)")
    return folder
