"""The default clips of an export."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError, ExportError
from evface_edge.models import find_model
from evface_export.synthetic_clips import NAME, synthetic_clips
from evface_training import calibration_set

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
#: Distribution → module, where the names differ.
_IMPORTED = {
    "pyyaml": "yaml",
    "opencv-python-headless": "cv2",
    "lightning-fabric": "lightning_fabric",
}


def test_clips_for_the_bundled_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    card = read_card(find_model("evface-s-fp32"))
    clips = synthetic_clips(card, count=64)
    assert clips.name == NAME
    assert clips.inputs.shape == (64, *card.inputs[0].shape[1:])
    assert clips.inputs.dtype == np.uint8
    used, judged = clips.split(seed=0)
    assert (len(used), len(judged)) == (32, 32)
    assert 0.6 < clips.faces.mean() < 1  # some show no face, for the range of presence
    inside = clips.landmarks[clips.faces]
    assert (np.abs(inside - 0.5) < 0.9).all()
    assert np.median(inside.max(1) - inside.min(1)) > 0.4
    assert len(clips.sha256) == 64
    (cached,) = (tmp_path / "evface-edge" / "clips").iterdir()
    with monkeypatch.context() as patch:  # nothing is simulated again
        patch.setattr(calibration_set, "draw_clip_set", None)
        again = synthetic_clips(card, count=64)
        assert again.sha256 == clips.sha256
        np.testing.assert_array_equal(again.inputs, clips.inputs)
    cached.write_bytes(cached.read_bytes()[:1000])
    drawn = {n: getattr(clips, n) for n in ("for_evaluation", "inputs", "landmarks", "presence")}
    monkeypatch.setattr(calibration_set, "draw_clip_set", lambda *_, **__: drawn)
    assert synthetic_clips(card, count=64).sha256 == clips.sha256
    assert len(cached.read_bytes()) > 1000


def test_a_cache_folder_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "evface-edge").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ExportError) as caught:
        synthetic_clips(read_card(find_model("evface-s-fp32")), count=64)
    assert "XDG_CACHE_HOME" in str(caught.value.fix)


@pytest.mark.parametrize(
    "representation", [{"name": "event_frame"}, {"name": "voxel_grid", "bins": 3}]
)
def test_other_inputs_need_clips_of_their_own(representation: dict[str, object]) -> None:
    card = dataclasses.replace(
        read_card(find_model("evface-s-fp32")), representation=representation
    )
    with pytest.raises(ConfigError) as caught:
        synthetic_clips(card)
    assert (caught.value.field, caught.value.value) == ("--calibration", None)


def test_the_extra_export_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packages of the extra `train` alone cannot be imported."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"]
    names = {
        extra: {re.split(r"[=<>;\[ ]", one)[0] for one in extras[extra]}
        for extra in ("train", "export")
    }
    absent = sorted(_IMPORTED.get(n, n) for n in names["train"] - names["export"])
    assert {"cv2", "lightning_fabric", "moderngl"} <= set(absent)
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "from evface_edge.card_file import read_card\n"
        "from evface_edge.models import find_model\n"
        "from evface_export.synthetic_clips import synthetic_clips\n"
        "print(len(synthetic_clips(read_card(find_model('evface-s-fp32')), count=64).inputs))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
