"""Where networks lie, and what their folders tell without being loaded."""

import json
from pathlib import Path

from mcld import mannequin
from mcld.errors import WeightsError
from mcld.licences import LICENCES
from mcld.model_card import INDEX
from mcld.networks.hub import find_network
from mcld.networks.names import AUTHORS, CHECKPOINTS, four_files
from mcld.settings import Settings

EMBEDDED = Path(mannequin.__file__).parent / "weights"
"""The pipeline folder that comes with mcld: a small network trained on the mannequin world."""


def read_face_embedder(weights: Path | None, settings: Settings) -> str:
    """What makes the face embeddings that a network knows: "arcface" or "head_crop".

    weights: as `load_weights` has it; None: the embedded.
    """
    folder: Path | None = EMBEDDED
    if weights is not None:
        folder = find_pipeline(find_folder(weights, settings), settings)
    try:
        facts = {} if folder is None else json.loads((folder / INDEX).read_text("utf-8"))
    except (OSError, ValueError):  # which is told when it is loaded
        facts = {}
    return str(facts.get("face_embedder", "arcface")) if isinstance(facts, dict) else "arcface"


def find_pipeline(folder: Path, settings: Settings) -> Path | None:
    """The pipeline folder that `folder` is, or that has the encoders of its four files."""
    run = folder.resolve().parent
    beside = (run / "pipeline", run.parent / "start")  # of weights/, and of a checkpoint
    places = (folder, *beside, settings.sample.pretrained)  # which may be a pipeline as well
    return next((place for place in places if (place / INDEX).is_file()), None)


def holds_network(folder: Path) -> bool:
    """Whether a folder is a pipeline, or has a file of the authors' layout."""
    return (folder / INDEX).is_file() or any(four_files(folder).values())


def check_weights(folder: Path) -> None:
    """Raise WeightsError for a folder that `load_weights` has nothing to load in."""
    if not holds_network(folder):
        raise WeightsError(
            f"{folder} holds no network: give a pipeline folder, or one with the four files of the"
            " authors' layout"
        )


def find_folder(weights: Path, settings: Settings) -> Path:
    """The folder of a network: see `find_network`.

    Raises as that does, and WeightsError for the paper's authors' under `prepare.commercial`.
    """
    authors = LICENCES["mcld"]
    if settings.prepare.commercial and weights == Path(AUTHORS):
        authors.check_commercial()
    folder = find_network(weights)
    theirs = folder.resolve() == CHECKPOINTS.resolve() or any(folder.glob("image_proj_model.*"))
    if settings.prepare.commercial and theirs:
        authors.check_commercial()
    if folder != weights and not holds_network(folder):
        raise WeightsError(
            f"{weights} on the hub holds no network: neither {INDEX}, nor one of the four files of"
            " the authors' layout"
        )
    return folder
