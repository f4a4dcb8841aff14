"""How a picture was made, as it is written beside it or into it."""

import json
from typing import Any

from mcld import __version__
from mcld.machine.provenance import GENERATED, Provenance
from mcld.machine.signing import Signer

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
