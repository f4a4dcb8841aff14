"""The face focus: who the person is, as one vector."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcld.errors import MCLDError, WeightsError
from mcld.licences import LICENCES
from mcld.machine.file_kind import describe_first
from mcld.settings import PrepareSettings
from mcld.surface.parts import head_box

DETECTION_SIZE = 640
HEAD_MARGIN = 0.5
"""Of the head's size, around it, when a face is looked for in the head alone."""


class InsightFace:
    """ArcFace through insightface, the embedder of the paper: pack antelopev2.

    options: where packs lie, and whether insightface's may be used. pack: such as
    `options.face_pack`. device: "cuda:N" runs on that GPU, where onnxruntime can; anything else on
    the CPU. detection_size: width and height that
    pictures are fitted into.

    Raises MCLDError when insightface is not installed, WeightsError when the pack is missing or
    damaged.
    """

    def __init__(
        self,
        options: PrepareSettings,
        pack: str,
        device: str,
        detection_size: tuple[int, int] = (DETECTION_SIZE, DETECTION_SIZE),
    ) -> None:
        folder = face_pack(options, pack)
        try:
            import onnxruntime
            from insightface.app import FaceAnalysis
        except ImportError as error:
            raise MCLDError(f"insightface is installed but does not work here: {error}") from error

        # What it still asks of scikit-image in the old way is no concern of its users.
        warnings.filterwarnings("ignore", category=FutureWarning, module="insightface")
        kind, _, number = device.partition(":")
        providers: list[Any] = ["CPUExecutionProvider"]
        if runs_on_gpu(device):
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(number or 0)}))
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = 1  # several processes work at once
        try:
            self._app = FaceAnalysis(
                name=str(folder),
                allowed_modules=["detection", "recognition"],
                providers=providers,
                sess_options=session,
            )
            self._app.prepare(
                ctx_id=int(number or 0) if kind == "cuda" else -1,
                det_size=detection_size,
            )
        except Exception as error:  # onnxruntime's and protobuf's errors have no common ground
            what = describe_first(folder.glob("[!.]*.onnx")) or f"cannot load {folder}: {error}"
            raise WeightsError(f"the face pack cannot be used: {what}") from error
        if "recognition" not in self._app.models:
            raise WeightsError(f"the face pack {folder} lacks its recognition network")

    def embed(self, image: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The raw embedding of the person's face, float32 [512], or None when no face is found.

        image: uint8 [H, W, 3] RGB. iuv: uint8 [H, W, 3] (I, U, V) of the same height and width. Of
        several faces it is the one whose middle is in the head (part labels 23 and 24), the largest
        if none is. A face that is too small to be found in the whole picture is looked for in the
        head alone, which the detector sees enlarged.
        """
        faces = self._find(image)
        if not faces and (head := cut_head_region(image, iuv)) is not None:
            faces = self._find(head)
        if not faces:
            return None
        own = [face for face in faces if _is_in_head(face, head_box(iuv))]
        return np.asarray(max(own or faces, key=_measure_area).embedding, np.float32)

    def largest(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The raw embedding of the largest face in a picture, uint8 [H, W, 3] RGB; None without."""
        faces = self._find(image)
        return np.asarray(max(faces, key=_measure_area).embedding, np.float32) if faces else None

    def _find(self, image: NDArray[np.uint8]) -> list[Any]:
        faces: list[Any] = self._app.get(np.ascontiguousarray(image[..., ::-1]))
        return faces


def runs_on_gpu(device: str) -> bool:
    """Whether faces are found on a GPU: `device` is one, and onnxruntime is the build for it."""
    if not device.startswith("cuda"):
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _is_in_head(face: Any, head: tuple[slice, slice] | None) -> bool:
    """Whether the middle of a face lies in the box of a head: its rows and columns."""
    if head is None:
        return False
    left, top, right, bottom = face.bbox[:4].tolist()
    rows, columns = head
    return bool(
        rows.start <= (top + bottom) / 2 < rows.stop
        and columns.start <= (left + right) / 2 < columns.stop
    )


def _measure_area(face: Any) -> float:
    left, top, right, bottom = face.bbox[:4].tolist()
    return float((right - left) * (bottom - top))


def cut_head_region(image: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The square around the head with a margin, enlarged to the detector's size; None without head.

    image, iuv: as for the embedders. Beyond the picture the region is black.
    """
    import cv2

    box = head_box(iuv)
    if box is None:
        return None
    rows, columns = box
    middle = np.array([columns.start + columns.stop - 1, rows.start + rows.stop - 1]) / 2
    side = max(rows.stop - rows.start - 1, columns.stop - columns.start - 1, 1)
    side *= 1 + 2 * HEAD_MARGIN
    scale = DETECTION_SIZE / side
    shift = DETECTION_SIZE / 2 - scale * middle
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    size = (DETECTION_SIZE, DETECTION_SIZE)
    region = cv2.warpAffine(np.ascontiguousarray(image), matrix, size, flags=cv2.INTER_CUBIC)
    return np.asarray(region, np.uint8)


def face_pack(options: PrepareSettings, pack: str) -> Path:
    """The folder of a pack's ONNX files.

    Raises MCLDError when insightface is not installed, WeightsError when there is no such pack, and
    under `prepare.commercial`.
    """
    if options.commercial:
        LICENCES["insightface"].check_commercial()
    for module in ("insightface", "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            raise MCLDError(f"{module} is not installed: pip install 'mcld[face]'")
    folder = options.insightface_root / "models" / pack
    # The archive of antelopev2 holds a folder of its own name.
    for place in (folder, folder / pack):
        if any(place.glob("*.onnx")):
            return place
    raise WeightsError(f"the face pack {pack} is missing in {folder}: mcld weights download {pack}")
