"""DensePose's published weights as .safetensors."""

from pathlib import Path

from mcld.estimators.densepose.weights import read_weights
from mcld.machine.tensor_files import write_tensors
from mcld.weights.request import check_densepose_conversion


def convert_densepose(source: Path, target: Path) -> None:
    """Write the weights in the pickle `source` as the new file `target`, bit for bit.

    Their names stay; what is not of the network is left out. Raises as
    `check_densepose_conversion`, and WeightsError when `source` is damaged, would run code, or is
    of another network.
    """
    check_densepose_conversion(source, target)
    write_tensors(target, read_weights(source))
