"""Objects in images without a face."""

from __future__ import annotations

import torch

from evface_training.simulation.occluders import occluder_bank, with_objects
from evface_training.simulation.textures import texture_bank


def test_about_that_fraction_of_images_gets_a_large_object() -> None:
    images = texture_bank(64, 64, seed=1)[:, None]
    before = images.clone()
    generator = torch.Generator().manual_seed(2)
    result = with_objects(images, 0.5, occluder_bank(16, seed=3), generator)
    torch.testing.assert_close(images, before, rtol=0, atol=0)
    changed = (result != images)[:, 0]
    with_object = changed.flatten(1).any(1)
    assert 20 <= int(with_object.sum()) <= 44
    assert float(changed[with_object].float().mean()) > 0.1  # of the image's area
    assert float(result.min()) >= 0
    assert float(result.max()) <= 1


def test_none_and_all() -> None:
    images, objects = texture_bank(8, 64, seed=1)[:, None], occluder_bank(16, seed=3)
    generator = torch.Generator().manual_seed(2)
    torch.testing.assert_close(
        with_objects(images, 0.0, objects, generator), images, rtol=0, atol=0
    )
    changed = with_objects(images, 1.0, objects, generator) != images
    assert int(changed.flatten(1).any(1).sum()) >= 7
