"""The device, threads and memory of a training."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import torch

from evface_edge.errors import ConfigError
from evface_training.trainer.machine import Machine, launch


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_as_before")
def test_threads_are_the_usable_cores() -> None:
    launch(Machine("cpu"), "fp32")
    assert torch.get_num_threads() == len(os.sched_getaffinity(0))
    launch(Machine("cpu", threads=1), "fp32")
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("threads_as_before")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how Linux counts page faults")
def test_a_large_block_is_reused_without_page_faults() -> None:
    import resource

    launch(Machine("cpu", threads=1), "fp32")

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.zeros(100 << 20, dtype=torch.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert min(faults() for _ in range(12)) < 1000  # of 25,600 pages


@pytest.mark.parametrize("field", ["threads", "workers"])
def test_negative_numbers_are_errors(field: str) -> None:
    with pytest.raises(ConfigError, check=lambda e: e.field == f"--{field}"):
        Machine(**{field: -1})  # type: ignore[arg-type]
