"""Recipes: wrong ones are errors, and every bundled one builds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from evface_edge.cli import main
from evface_edge.errors import ConfigError
from evface_training.config import build, differences, load_yaml
from evface_training.recipe import TrainRecipe, bundled_recipes, load_recipe
from evface_training.tasks.table import build_task


@pytest.mark.parametrize(
    ("values", "field", "hint"),
    [
        ({"stepz": 3}, "recipe.stepz", "'steps'"),
        ({"student": {"chanels": []}}, "recipe.student.chanels", "'channels'"),
        ({"optimiser": {"learning-rate": 1}}, "recipe.optimiser.learning-rate", "'learning_rate'"),
        ({"learing_rate": 1}, "recipe.learing_rate", "'optimiser.learning_rate'"),
        ({"hiden": 1}, "recipe.hiden", "'student.hidden'"),
        ({"feed_foward": 1}, "recipe.feed_foward", "'teacher.feed_forward'"),
        ({"side": 1}, "recipe.side", "student.side or .*ssmer.side"),
        ({"zzz": 1}, "recipe.zzz", "name, version"),
        ({"steps": "many"}, "recipe.steps", "int"),
        ({"steps": False}, "recipe.steps", "int"),
        ({"reuse": "often"}, "recipe.reuse", "float"),
        ({"version": 1.0}, "recipe.version", "str"),
        ({"steps": 0}, "TrainRecipe.steps", None),
        ({"crop_scale": 0.9}, "TrainRecipe.crop_scale", None),
        ({"window": {"events_per_px": 1.0}}, "recipe.window", "max_duration_us"),
        ({"student": {"channels": [16, 16]}}, "StudentConfig.channels", "4"),
        ({"student": {"blocks": [1, 1]}}, "recipe.student.blocks", "3"),
        ({"student": {"stem": "patch"}}, "StudentConfig.channels", "3"),
        ({"precision": "fp61"}, "recipe.precision", "bf16, fp32"),
        ({"optimiser": {"ema": 1.5}}, "optimiser.ema", None),
        ({"representation": {"name": "event_frame"}}, "TrainRecipe.student.in_channels", "2"),
        ({"representation": {"name": "voxels_grid"}}, "representation.name", "voxel_grid"),
        ({"representation": "voxel_grid"}, "representation", "name"),
        ({"pool": 100}, "TrainRecipe.pool", "192"),
    ],
)
def test_a_wrong_recipe_is_an_error(
    values: dict[str, object], field: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError, match=hint, check=lambda e: e.field == field):
        build(TrainRecipe, {"name": "x", **values}, "recipe")


@pytest.mark.parametrize(("values", "hint"), [({}, "name"), ([], "mapping")])
def test_a_recipe_needs_a_name(values: object, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint, check=lambda e: e.field == "recipe"):
        build(TrainRecipe, values, "recipe")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: a\nsteps: 1\nsteps: 2\n", "bad.yaml.steps"),
        ("name: [a\n", "recipe"),
        ("\xff", "recipe"),
        ("", "bad.yaml"),
        ("- 1\n", "bad.yaml"),
    ],
)
def test_a_file_that_is_no_recipe_is_an_error(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, check=lambda e: e.field == field):
        load_yaml(TrainRecipe, path)


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as text."""
    path = tmp_path / "r.yaml"
    path.write_text("name: r\noptimiser: {learning_rate: 1e-3, clip_norm: 2}\n")
    optimiser = load_yaml(TrainRecipe, path).optimiser
    assert (optimiser.learning_rate, optimiser.clip_norm) == (1e-3, 2.0)


def test_choices_and_optional_parts() -> None:
    @dataclass(frozen=True)
    class Inner:
        x: int = 1

    @dataclass(frozen=True)
    class Outer:
        kind: Literal["a", "b"]
        inner: Inner | None = None
        many: tuple[float, ...] = ()

    # Types defined in a function are unknown to `get_type_hints`.
    globals().update(Inner=Inner)
    built = build(Outer, {"kind": "b", "inner": {"x": 2}, "many": [1, 2.5]}, "here")
    assert built == Outer("b", Inner(2), (1.0, 2.5))
    assert build(Outer, {"kind": "a", "inner": None}, "here").inner is None
    with pytest.raises(ConfigError, check=lambda e: (e.field, e.value) == ("here.kind", "c")):
        build(Outer, {"kind": "c"}, "here")


def test_differences_have_dotted_names() -> None:
    old = {"a": 1, "b": {"c": [1, 2], "d": 3}}
    new = {"a": 1, "b": {"c": [1, 3], "d": 3, "e": 4}}
    assert list(differences(old, new)) == [("b.c", [1, 2], [1, 3]), ("b.e", None, 4)]


@pytest.mark.parametrize("name", bundled_recipes())
def test_every_bundled_recipe_builds(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    if recipe.task in ("landmarks", "ssmer") and "paper" not in name:  # others need initial weights
        build_task(recipe)
    size = name.rpartition("-")[2]
    if "teacher-" in name:
        teacher = load_recipe(f"teacher-{size}").teacher
        assert recipe.teacher.backbone == teacher.backbone
        if not name.startswith("ssmer-"):  # the same but for the fusion
            changes = {"fusion": teacher.fusion, "rgb_dropout": teacher.rgb_dropout}
            assert replace(recipe.teacher, **changes) == teacher


@pytest.mark.parametrize(("name", "at_most"), [("evface-s", 1.5e6), ("evface-n", 0.4e6)])
def test_students_are_as_small_as_promised(name: str, at_most: float) -> None:
    network = build_task(load_recipe(name)).network
    assert sum(p.numel() for p in network.parameters()) <= at_most


def test_errors_of_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "evface-x", "--faces", str(tmp_path), "-o", str(tmp_path)]) == 1
    assert "evface-n-distill" in capsys.readouterr().err
    assert main(["train", "evface-s", "-o", str(tmp_path)]) == 1
    assert "--faces" in capsys.readouterr().err
    assert main(["train", "-o", str(tmp_path)]) == 1
    assert "recipe" in capsys.readouterr().err
