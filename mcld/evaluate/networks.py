"""Networks that come in torchvision's files, and LPIPS, which is one of them."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path

import lpips
import torch
from torch import Tensor, nn

from mcld.errors import WeightsError
from mcld.licences import LICENCES
from mcld.machine.files import hash_file
from mcld.machine.tensor_files import read_state_dict
from mcld.networks.names import TORCHVISION, torchvision_folders
from mcld.settings import Settings


def find_torchvision_file(name: str, settings: Settings) -> Path:
    """The weights file of a torchvision network, by its name for `mcld weights`.

    Raises WeightsError, with the command that brings it, when it is not on this machine, and under
    `prepare.commercial`.
    """
    if settings.prepare.commercial:
        LICENCES["torchvision"].check_commercial()
    pretrained = settings.sample.pretrained
    for folder in torchvision_folders(pretrained):
        if (path := folder / TORCHVISION[name]).is_file():
            return path
    raise WeightsError(
        f"{TORCHVISION[name]} is not in {pretrained} nor in torch's hub folder: `mcld weights"
        f" download {name}` brings it"
    )


def load_torchvision(network: nn.Module, path: Path) -> None:
    """Load torchvision's file into its network, which may be on the meta device.

    Not as strictly as our own checkpoints: PyTorch forgives old files that lack the counters of
    batch norms. Raises WeightsError when the file is damaged or of another network.
    """
    try:
        network.load_state_dict(read_state_dict(path), assign=True)
    except RuntimeError as error:
        raise _refuse(path, error) from error


def _refuse(path: Path, error: RuntimeError) -> WeightsError:
    reason = " ".join(str(error).split())[:200]
    return WeightsError(f"{path} is no file of this network: {reason}")


def without_tf32() -> AbstractContextManager[None]:
    """A context without TF32, so that a GPU's numbers are a CPU's but for their last digits."""
    context: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, allow_tf32=False
    )
    return context


def check_finite(numbers: Tensor, path: Path) -> None:
    """Raise WeightsError when a network's output is not finite; path: its weights."""
    if not numbers.isfinite().all():
        raise WeightsError(
            f"the network in {path} gives numbers that are not finite: the file is damaged, fetch"
            " it again with `mcld weights download`"
        )


class LPIPS(nn.Module):
    """Learned perceptual distance of two pictures (Zhang et al., 2018), version 0.1.

    backbone: torchvision's file of AlexNet or of VGG16; the linear layers come with the package
    lpips. net: which of the two, "alex" or "vgg", as lpips calls them.

    Raises WeightsError when the file is damaged or of another network.
    """

    def __init__(self, backbone: Path, net: str = "alex") -> None:
        super().__init__()
        self.file, self.sha256 = backbone, hash_file(backbone)
        with warnings.catch_warnings(), torch.device("meta"):  # where no random weights are drawn
            warnings.simplefilter("ignore")  # it calls torchvision's models in a deprecated way
            self.network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        weights = read_state_dict(backbone)
        # slice2.3.weight there is features.3.weight here.
        names = {key: f"features.{key.partition('.')[2]}" for key in self.network.net.state_dict()}
        found = {key: weights[own] for key, own in names.items() if own in weights}
        try:
            self.network.net.load_state_dict(found, assign=True)
        except RuntimeError as error:
            raise _refuse(backbone, error) from error
        linear = read_state_dict(Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth")
        own = {key.removeprefix("lin"): weight for key, weight in linear.items()}
        self.network.lins.load_state_dict(own, assign=True)
        self.to(memory_format=torch.channels_last)  # quicker on a CPU
        self.eval()

    @torch.no_grad()
    def forward(self, generated: Tensor, truths: Tensor, which: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] in 0..1 and [T, 3, H, W] likewise -> [B], 0 for equal pictures.

        which: of each generated picture the number of its truth, int64 [B], so that the network
        sees a truth of several once; by default both are in one order.

        Raises WeightsError when a distance is not finite.
        """
        with without_tf32():
            layers = zip(self._extract(generated), self._extract(truths), strict=True)
            distances = torch.zeros(len(generated), device=generated.device)
            for linear, (one, other) in zip(self.network.lins, layers, strict=True):
                other = other if which is None else other[which]
                distances += linear((one - other).square()).mean(dim=(1, 2, 3))
        check_finite(distances, self.file)
        return distances

    def _extract(self, pictures: Tensor) -> list[Tensor]:
        """The features of each layer, of unit length at every place."""
        features = self.network.net(self.network.scaling_layer(2 * pictures - 1))
        return [lpips.normalize_tensor(layer) for layer in features]
