"""What can be exported, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from evface_edge.card_file import CARD_KEY, embed_card, read_card
from evface_edge.errors import ModelError
from evface_edge.models import find_model
from evface_export.source import load_source


def test_a_bundled_name_is_its_float_form() -> None:
    source = load_source("evface-s")
    assert (source.card.name, source.card.precision) == ("evface-s", "fp32")
    assert source.card.metrics == {}  # they belong to another artefact
    shape = source.card.inputs[0].shape[1:]
    with torch.no_grad():
        landmarks, log_sigma, presence = source.network(torch.zeros(3, *shape))
    assert (landmarks.shape, log_sigma.shape, presence.shape) == ((3, 98, 2), (3, 98), (3, 1))


def test_our_own_onnx(checkpoint: Any, toy: Any, tmp_path: Path) -> None:
    model = toy.traced()
    path = tmp_path / "toy-fp32.onnx"
    path.write_bytes(embed_card(model, checkpoint.card))
    source = load_source(path)
    assert source.card == checkpoint.card
    inputs = torch.rand(2, 10, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            source.network(inputs)[0], checkpoint.network(inputs)[0], rtol=1e-4, atol=1e-5
        )
    path.write_bytes(model)
    with pytest.raises(ModelError) as caught:
        load_source(path)
    assert (caught.value.path, caught.value.field) == (path, CARD_KEY)


def test_what_cannot_be_exported_again(tmp_path: Path) -> None:
    int8 = find_model("evface-s-int8")
    assert read_card(int8).precision == "int8"
    with pytest.raises(ModelError) as caught:
        load_source(int8)
    assert (caught.value.field, caught.value.value) == ("precision", "int8")
    for name in ("a.xml", "a.engine"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ModelError) as caught:
            load_source(tmp_path / name)
        assert caught.value.path == tmp_path / name
        assert caught.value.value == Path(name).suffix
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04")
    for name in ("absent.pt", "torn.pt"):
        with pytest.raises(ModelError) as caught:
            load_source(tmp_path / name)
        assert caught.value.path == tmp_path / name
    with pytest.raises(ModelError) as caught:
        load_source("evface-z")
    assert "evface-s" in str(caught.value.fix)  # the nearest name
