"""Fixtures for all tests."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow, which is no error.
settings.register_profile(
    "evface", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("evface")

#: Folder of tests → the package without which none of them runs.
_NEEDED = {"training": "torch", "export": "torch", "docs": "mkdocs"}
_LEFT_OUT = {
    folder: package
    for folder, package in _NEEDED.items()
    if importlib.util.find_spec(package) is None
}
collect_ignore = list(_LEFT_OUT)


def pytest_report_header() -> list[str]:
    return [
        f"tests/{folder} left out: {package} is not installed"
        for folder, package in _LEFT_OUT.items()
    ]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Faces and recordings that are not part of the repository; the test is skipped without."""
    sibling = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EVFACE_SHARED_DATA", sibling))
    if not folder.is_dir():
        pytest.skip(f"no face and event recordings at {folder} (set EVFACE_SHARED_DATA)")
    return folder
