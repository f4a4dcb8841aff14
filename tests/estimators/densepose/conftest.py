"""The network with the golden data's random weights."""

from pathlib import Path

import pytest

from mcld.estimators.densepose.estimator import DensePose
from mcld.machine.tensor_files import write_tensors
from tests.golden.densepose.weights import make_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of seed 1, as `mcld weights convert densepose` writes them."""
    path = tmp_path_factory.mktemp("densepose") / "densepose.safetensors"
    write_tensors(path, make_weights(seed=1))
    return path


@pytest.fixture(scope="session")
def densepose(weights: Path) -> DensePose:
    """At the size of the smallest golden pictures."""
    return DensePose(weights, "cpu", short=320, long=533)
