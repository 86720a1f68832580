"""What the reference pages list is what the code has."""

from __future__ import annotations

import re

import pytest

from evface_edge.card import ModelCard, WindowPolicy
from evface_edge.cli.outputs import PREDICT_SUFFIXES
from evface_edge.events.formats.table import FORMATS
from evface_edge.representation import REPRESENTATIONS
from evface_edge.results.table import FACE_COLUMNS
from evface_edge.tracking.state_machine import Event, State, transition_table
from evface_runtimes import RUNTIMES
from tools.docs_pages import ROOT
from tools.write_tables import main as tables

DOCS = ROOT / "docs"


def page(path: str) -> str:
    return (DOCS / path).read_text(encoding="utf-8")


def test_tables_show_the_numbers_of_their_files() -> None:
    assert tables(["--check"]) == 0


def test_outputs_and_columns_are_explained() -> None:
    text = page("how-to/results.md")
    for name in (*PREDICT_SUFFIXES, *FACE_COLUMNS):
        assert f"`{name}`" in text


def test_tracking_page_has_the_table_of_transitions() -> None:
    text = page("explanation/tracking.md")
    assert transition_table() in text
    for explained in (*State, *Event):
        assert f"| {explained.name.lower()} | {explained.value}" in text


def test_every_representation_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \(`(\w+)`\)", page("reference/representations.md"), re.M)
    assert {name: kind for kind, name in rows} == {
        name: kind.__name__ for name, kind in REPRESENTATIONS.items()
    }


def test_every_runtime_and_device_is_in_the_table() -> None:
    text = page("reference/runtimes.md")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    for spec in RUNTIMES:
        assert all(f"`{device}`" in rows[spec.name] for device in spec.devices)


def test_every_format_is_in_the_table() -> None:
    text = page("reference/formats.md")
    for row in FORMATS:
        assert f"`{row.name}`" in text


def test_every_field_of_the_card_is_explained() -> None:
    text = page("reference/model-card.md")
    fields = (*ModelCard.__dataclass_fields__, *WindowPolicy.__dataclass_fields__)
    for field in fields:
        assert f"`{field}`" in text


def test_every_error_is_in_the_table() -> None:
    import evface_edge

    text = page("reference/errors.md")
    for name in evface_edge.__all__:
        if name.endswith(("Error", "Mismatch", "Unavailable", "Warning")):
            assert f"`{name}`" in text


def test_export_page_has_the_numbers_of_the_code() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed (extra export)")
    from evface_export.conversion import QUANTIZERS, Int8
    from evface_export.parity import ENOUGH_FILLED, Limits
    from evface_export.synthetic_clips import COUNT
    from evface_export.targets import TARGETS

    text = page("how-to/export.md") + page("explanation/int8.md")
    for name in (*(target.name for target in TARGETS), *QUANTIZERS):
        assert f"`{name}`" in text or f"--quantizer {name}`" in text
    limits = Limits()
    assert (limits.max_nme_loss, limits.max_presence_flips, ENOUGH_FILLED) == (0.02, 0.02, 0.01)
    assert f"log σ moves by more than {limits.max_log_sigma_shift}" in text
    assert f"{COUNT:,} clips on the fly" in text
    assert f"{Int8().qat_steps} steps run by default" in text


def test_pages_that_the_code_names_exist() -> None:
    folders = ("evface_edge", "runtimes", "training", "export", "examples", "benchmarks", "tools")
    named = {
        found
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sh", ".yaml", ".service"}
        for found in re.findall(r"docs/[\w/-]+\.(?:md|png)", path.read_text(encoding="utf-8"))
    }
    made = {"docs/reference/commands.md", "docs/reference/api/MODULE.md"}
    assert len(named) > 5
    assert {path for path in named - made if not (ROOT / path).exists()} == set()
