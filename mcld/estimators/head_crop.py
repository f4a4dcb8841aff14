"""Who somebody is, told without weights: as the network knows it that was trained on mannequins."""

import numpy as np
from numpy.typing import NDArray

from mcld.surface.parts import HEAD, RIGHT_HEAD, head_box

_SMALLEST_HEAD = 8
_SMALLEST_SHARE = 0.15
# A middling head in Y, Cb, Cr: measured from here, light and dark skin or hair point opposite ways.
_MIDDLING = np.array([118, 115, 143], np.float32)
# Skin and hair differ much less in chroma than in luma.
_CHROMA_GAIN = 2.0


class HeadCrop:
    """A face embedder without weights: a small picture of the head, flattened."""

    def embed(self, image: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The embedding of the head in a picture, float32 [512], or None when no face is seen.

        image: uint8 [H, W, 3] RGB. iuv: uint8 [H, W, 3] (I, U, V) of the same height and width.

        The box around part labels 23 and 24 (the right and left half of the head) becomes 16x16
        luma, then 8x16 Cb and 8x16 Cr; around the head its mean colour stands in. The numbers are
        measured from a middling head and scaled to a root mean square of 1, so that the cosine of
        two embeddings says how alike two heads are.

        A face is seen when the head is at least 8 pixels high and wide and at least 15 % of it is
        face. On DensePose's charts the face lies between the ears and the nose (label 23: U from
        0.6 to 1; label 24, its mirror image: U from 0 to 0.4) and between chin and forehead (V from
        0.25 to 0.75); from behind none of it shows.
        """
        labels, u, v = iuv[..., 0], iuv[..., 1], iuv[..., 2]
        box = head_box(iuv)
        if box is None:
            return None
        head = np.isin(labels[box], HEAD)
        towards_nose = np.where(labels[box] == RIGHT_HEAD, u[box], 255 - u[box])
        face = head & (towards_nose >= 0.6 * 255) & (abs(v[box] / 255 - 0.5) <= 0.25)
        if min(head.shape) < _SMALLEST_HEAD or face.sum() < _SMALLEST_SHARE * head.sum():
            return None

        import cv2  # here, because it loads much

        colours = cv2.cvtColor(np.ascontiguousarray(image[box]), cv2.COLOR_RGB2YCrCb)[
            ..., [0, 2, 1]
        ]
        centred = colours.astype(np.float32) - _MIDDLING
        centred[~head] = centred[head].mean(axis=0)
        small = cv2.resize(centred, (16, 16), interpolation=cv2.INTER_AREA)
        chroma = cv2.resize(small[..., 1:], (16, 8), interpolation=cv2.INTER_AREA) * _CHROMA_GAIN
        embedding = np.concatenate([small[..., 0].ravel(), chroma.transpose(2, 0, 1).ravel()])
        scale = np.sqrt(np.mean(embedding**2))
        scaled: NDArray[np.float32] = (embedding / max(scale, 1e-6)).astype(np.float32)
        return scaled
