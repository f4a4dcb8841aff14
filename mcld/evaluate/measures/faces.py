"""How alike the faces of a generated and a true picture are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcld.errors import WeightsError
from mcld.evaluate.metric import Column, Numbers, PairMetric, Tools
from mcld.machine.files import hash_file

if TYPE_CHECKING:
    from mcld.evaluate.pairs import Pair, Pixels

FACE_PACK = "buffalo_s"
FACE_DETECTION = (512, 352)
"""Size at which faces are looked for, as in the authors' evaluation."""


class _Faces(PairMetric):
    """Compares the largest faces of two pictures."""

    sizes = ("256",)
    packages = ("insightface", "onnxruntime")

    def load(self, tools: Tools) -> None:
        """Insightface's pack. Raises MCLDError when it or the package is missing."""
        from mcld.estimators.face import InsightFace, face_pack

        options, device = tools.settings.prepare, str(tools.device)
        self.faces = InsightFace(options, FACE_PACK, device, FACE_DETECTION)
        files = sorted(face_pack(options, FACE_PACK).glob("*.onnx"))
        self.weights = {path.name: hash_file(path) for path in files}

    def compare(self, generated: Pixels, other: Pixels) -> tuple[float, float] | None:
        """Cosine and distance of their embeddings; None where a picture has no face."""
        import numpy as np

        a, b = self.faces.largest(generated), self.faces.largest(other)
        if a is None or b is None:
            return None
        cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
        distance = float(np.linalg.norm(a - b))
        if not (math.isfinite(cosine) and math.isfinite(distance)):
            raise WeightsError(
                f"the face pack {FACE_PACK} gives embeddings that are not finite: it is damaged,"
                f" fetch it again with `mcld weights download {FACE_PACK}`"
            )
        return cosine, distance


class Face(_Faces):
    """Cosine and distance of the embeddings of the two largest faces."""

    name = "face"
    columns = (
        Column("face_cosine", "Face cosine", 1, 4, share=True),
        Column("face_distance", "Face distance", -1, 3),
        Column("faces", "Pairs with both faces", 0, 0, per_picture=False),
    )
    text = (
        f"insightface's {FACE_PACK}, the largest face of the 176x256 pictures, looked for at"
        " 512x352; mean cosine and mean Euclidean distance of the raw embeddings, over pairs with"
        " both faces"
    )

    def measure(self, pair: Pair) -> Numbers:
        """Nothing where a picture has no face."""
        found = self.compare(pair.generated, pair.truth)
        return {"face_cosine": found[0], "face_distance": found[1]} if found else {}

    def summarise(self, rows: Sequence[Numbers]) -> Numbers:
        """How many pairs have both."""
        return {"faces": sum("face_cosine" in row for row in rows)}


class FaceToSource(_Faces):
    """Cosine of the embeddings of the largest faces of result and source."""

    name = "face_source"
    columns = (
        Column("face_source_cosine", "Face cosine to source", 1, 4, share=True),
        Column("faces_source", "Pairs with result's and source's faces", 0, 0, per_picture=False),
    )
    text = (
        f"insightface's {FACE_PACK}, the largest face of the result and of the source photo, both"
        " 176x256, looked for at 512x352; mean cosine of the raw embeddings, over pairs with both"
        " faces"
    )
    needs = ("source",)

    def measure(self, pair: Pair) -> Numbers:
        """Nothing where a picture has no face."""
        found = self.compare(pair.generated, pair.source)
        return {"face_source_cosine": found[0]} if found else {}

    def summarise(self, rows: Sequence[Numbers]) -> Numbers:
        """How many pairs have both."""
        return {"faces_source": sum("face_source_cosine" in row for row in rows)}
