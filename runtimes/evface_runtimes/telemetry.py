"""Telemetry of the libraries that we import: switched off before their first import.

ONNX Runtime for Linux sends telemetry from 1.29 on, OpenVINO sends an event when it is imported,
NNCF when it quantises, Ray when it starts, rerun's viewer while it runs. A choice that the user
made is kept: environment variables that are set stay as they are, and so does a consent given to
OpenVINO.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Environment variable → the value that switches telemetry off.
VARIABLES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
#: Where rerun's viewer sends usage statistics to.
RERUN_ADDRESS = "https://tel.rerun.io"
#: OpenVINO and NNCF send nothing when this package cannot be imported.
_OPENVINO_PACKAGE = "openvino_telemetry"
#: "1" in it: the user has said yes (`opt_in_out --opt_in`).
_OPENVINO_CONSENT = Path("intel", "openvino_telemetry")


def switch_off() -> None:
    """Switch telemetry off in this process and the processes that it starts."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    if not _openvino_consent():
        sys.modules.setdefault(_OPENVINO_PACKAGE, None)  # type: ignore[arg-type]


def rerun_is_allowed() -> bool:
    """Whether the user allows rerun's viewer to send usage statistics: by the variable for it."""
    return "FORCE_RERUN_ANALYTICS" in os.environ


def rerun_variables() -> dict[str, str]:
    """Variables for rerun's viewer, a program of its own that connects to nobody with them.

    It sends no statistics where it sees continuous integration, and asks for its latest release
    by the proxy, which is a port where nothing listens.
    """
    return {} if rerun_is_allowed() else {"CI": "1", "ALL_PROXY": "http://127.0.0.1:9"}


def _openvino_consent() -> bool:
    try:
        return (Path.home() / _OPENVINO_CONSENT).read_text().strip() == "1"
    except (OSError, RuntimeError, UnicodeDecodeError):  # no such file, or no home
        return False
