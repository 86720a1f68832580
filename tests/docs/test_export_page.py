"""docs/how-to/export.md speaks of what is there: every target, every option, every limit."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from typer.main import get_command

from evface_export.command import export
from evface_export.conversion import QUANTIZERS, Int8
from evface_export.parity import ENOUGH_FILLED, Limits
from evface_export.synthetic_clips import COUNT
from evface_export.targets import TARGETS

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "export.md").read_text()


def test_targets_and_quantisers_are_named() -> None:
    for name in (*(target.name for target in TARGETS), *QUANTIZERS):
        assert f"`{name}`" in TEXT or f"--quantizer {name}`" in TEXT


def test_no_option_is_made_up() -> None:
    app = typer.Typer()
    app.command()(export)
    known = {option for parameter in get_command(app).params for option in parameter.opts}
    blocks = " ".join(re.findall(r"evface-edge export[^\n]*", TEXT))
    used = set(re.findall(r"--[a-z-]+", blocks)) | set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert {"--target", "--calibration", "--qat-steps", "--report"} <= used <= known | {"--help"}


def test_figures_are_those_of_the_code() -> None:
    limits = Limits()
    assert f"(2 %), log σ moves by more than {limits.max_log_sigma_shift}" in TEXT
    assert (limits.max_nme_loss, limits.max_presence_flips, ENOUGH_FILLED) == (0.02, 0.02, 0.01)
    assert f"{COUNT:,} clips on the fly" in TEXT
    assert f"({Int8().qat_steps} steps; 0: none)" in TEXT
