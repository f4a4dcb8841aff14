"""How a picture was made, as it is written beside it or into it."""

import json
from typing import Any

from torch import nn

from mcld import __version__
from mcld.machine.provenance import GENERATED, Provenance
from mcld.machine.signing import Signer
from mcld.networks.checkpoints import weights_hash
from mcld.pipeline import MCLDPipeline

SYNTHETIC = "synthetic image, made by a generative model"


def make_provenance(
    record: dict[str, Any], signer: Signer | None = None, source_type: str = GENERATED
) -> Provenance:
    """A record as it is written into a picture, with what tells that from a photo."""
    text = {
        "Software": f"mcld {__version__}",
        "Comment": SYNTHETIC,
        "mcld": json.dumps({**record, "version": __version__}),
    }
    return Provenance(text, source_type, signer)


def hash_pipeline(pipeline: MCLDPipeline) -> str:
    """What tells all networks' weights from others; to be taken before they change dtype."""
    return weights_hash(
        {
            f"{name}.{key}": tensor
            for name, part in pipeline.components.items()
            if isinstance(part, nn.Module)
            for key, tensor in part.state_dict().items()
        }
    )
