"""The weights that real photos need beside this package, and where they lie.

pretrained_weights/{stable-diffusion-v1-5/unet, sd-vae-ft-mse, image_encoder, ...}
checkpoints/{denoising_unet, reference_unet, pose_guider, image_projector}
~/.insightface/models/{antelopev2, buffalo_s}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcld.estimators.pose import name_densepose_files
from mcld.licences import LICENCES, Licence
from mcld.networks.names import (
    AUTHORS,
    CHECKPOINTS,
    CLIP,
    CONTROLNET,
    DINOV2,
    FILE_STEMS,
    IMAGE_ENCODER,
    TORCHVISION,
    UNET,
    VAE,
    Pretrained,
    torchvision_folders,
)
from mcld.settings import Settings

_DENSEPOSE = (
    "https://dl.fbaipublicfiles.com/densepose/densepose_rcnn_R_101_FPN_DL_s1x/165712116/"
    "model_final_844d15.pkl"
)
_INSIGHTFACE = "https://github.com/deepinsight/insightface/releases/download/v0.7/{}.zip"
_TORCH = "https://download.pytorch.org/models/{}"


@dataclass(frozen=True)
class Hub:
    """A folder of a Hugging Face repository."""

    repository: str
    subfolder: str = ""
    """Folder of the repository that holds the files; '' is its root."""

    def __str__(self) -> str:
        return f"{self.repository}/{self.subfolder}".rstrip("/")


@dataclass(frozen=True)
class Web:
    """A file on the web."""

    address: str
    sha256: str = ""
    """The first digits of its SHA-256; '' where it is not published."""
    archive: bool = False
    """Whether it is a zip of the item's folder."""

    def __str__(self) -> str:
        return self.address.partition("://")[2].partition("/")[0]


@dataclass(frozen=True)
class Item:
    """Weights that can be downloaded."""

    name: str
    """The name on the command line."""
    used_for: str
    folder: Path
    files: tuple[tuple[str, ...], ...]
    """The files that must be in the folder, each by its possible names, the preferred one first."""
    source: Hub | Web
    gigabytes: float
    """Size of the download, about."""
    licence: Licence
    also_in: tuple[Path, ...] = ()
    """Other folders in which the files may lie."""

    def is_present(self) -> bool:
        """Whether all its files are there, and not empty."""
        return any(
            all(any(_holds_something(folder / name) for name in names) for names in self.files)
            for folder in (self.folder, *self.also_in)
        )


def _holds_something(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:  # of a folder that may not be entered
        return False


def catalogue(settings: Settings) -> list[Item]:
    """All weights, each in the folder that these settings give it."""
    root, densepose = settings.sample.pretrained, name_densepose_files(settings.prepare)
    both = "sample, train"
    return [
        _describe_pretrained(both, root, UNET, 3.44),
        _describe_pretrained(both, root, VAE, 0.33),
        _describe_pretrained(both, root, IMAGE_ENCODER, 1.22),
        _describe_pretrained("train", root, CONTROLNET, 1.45),
        Item(
            "mcld",
            "sample",
            CHECKPOINTS,
            tuple(
                tuple(f"{stem}{suffix}" for stem in stems for suffix in (".safetensors", ".pth"))
                for stems in FILE_STEMS.values()
            ),
            Hub(AUTHORS),
            7.3,
            LICENCES["mcld"],
        ),
        Item(
            "densepose",
            "prepare, sample, edit",
            densepose[0].parent,
            (tuple(file.name for file in densepose),),
            Web(_DENSEPOSE),
            0.34,
            LICENCES["densepose"],
        ),
        _describe_pack(settings, settings.prepare.face_pack, "prepare, sample", 0.36),
        _describe_pack(settings, "buffalo_s", "evaluate", 0.13),
        _describe_torchvision("inception", root, 0.11),
        _describe_torchvision("alexnet", root, 0.24),
        _describe_torchvision("vgg16", root, 0.55),
        _describe_pretrained("evaluate", root, DINOV2, 1.22),
        _describe_pretrained("evaluate", root, CLIP, 1.71),
    ]


def _describe_pretrained(used_for: str, root: Path, model: Pretrained, gigabytes: float) -> Item:
    subfolder = "" if model.inside == "." else model.inside
    return Item(
        model.name,
        used_for,
        root / model.folder,
        (("config.json",), model.file_names()),
        Hub(model.repository, subfolder),
        gigabytes,
        LICENCES[model.name],
    )


def _describe_pack(settings: Settings, pack: str, used_for: str, gigabytes: float) -> Item:
    folder = settings.prepare.insightface_root / "models" / pack
    return Item(
        pack,
        used_for,
        folder,
        (_DETECTORS, _RECOGNISERS),
        Web(_INSIGHTFACE.format(pack), archive=True),
        gigabytes,
        LICENCES["insightface"],
        also_in=(folder / pack,),  # the archive of antelopev2 holds a folder of its own name
    )


_DETECTORS = ("scrfd_10g_bnkps.onnx", "det_10g.onnx", "det_500m.onnx")
"""The face detectors of insightface's packs; each pack has one of them."""
_RECOGNISERS = ("glintr100.onnx", "w600k_r50.onnx", "w600k_mbf.onnx")
"""The networks that embed faces; each pack has one of them."""


def _describe_torchvision(name: str, pretrained: Path, gigabytes: float) -> Item:
    file = TORCHVISION[name]
    root, hub = torchvision_folders(pretrained)
    sha256 = file.rpartition("-")[2].removesuffix(".pth")  # its first digits end the name
    source = Web(_TORCH.format(file), sha256)
    licence = LICENCES["torchvision"]
    return Item(name, "evaluate", root, ((file,),), source, gigabytes, licence, also_in=(hub,))
