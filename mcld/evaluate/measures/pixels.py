"""PSNR and both kinds of SSIM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld.errors import InputError
from mcld.evaluate.metric import Column, Numbers, PairMetric, Tools
from mcld.evaluate.protocol import Protocol

if TYPE_CHECKING:
    from mcld.evaluate.pairs import Pair


class PSNR(PairMetric):
    """Peak signal-to-noise ratio, in dB."""

    name = "psnr"
    columns = (Column("psnr", "PSNR", 1, 2),)
    text = "data range 1, of each picture; the mean"
    knobs = ("pad_white",)

    def measure(self, pair: Pair) -> Numbers:
        """It is infinite for equal pictures."""
        from mcld.evaluate.metrics import psnr

        return {"psnr": psnr(*pair.compared)}


class SSIM(PairMetric):
    """Structural similarity as the field reports it."""

    name = "ssim"
    columns = (Column("ssim", "SSIM", 1, 4, share=True),)
    text = (
        "uniform {0}x{0} windows, data range 1, sample covariance, per channel, whole windows only"
        " (scikit-image with win_size={0})"
    )
    knobs = ("pad_white", "ssim_window")

    @classmethod
    def describe(cls, protocol: Protocol) -> str:
        """With the window's side."""
        return cls.text.format(protocol.ssim_window)

    def load(self, tools: Tools) -> None:
        """Nothing is read."""
        self.window = tools.protocol.ssim_window

    def measure(self, pair: Pair) -> Numbers:
        """Of a whole picture."""
        from mcld.evaluate.metrics import ssim

        return {"ssim": ssim(*pair.compared, self.window)}


class SSIM256(PairMetric):
    """Structural similarity of 0..255 pictures, as the field's second variant has it."""

    name = "ssim_256"
    columns = (Column("ssim_256", "SSIM-256", 1, 4, share=True),)
    text = (
        "0..255, Gaussian windows of sigma {0}, population covariance, data range: the generated"
        " picture's largest value minus its smallest (scikit-image)"
    )
    knobs = ("pad_white", "ssim_256_sigma")

    @classmethod
    def describe(cls, protocol: Protocol) -> str:
        """With the window's sigma."""
        return cls.text.format(protocol.ssim_256_sigma)

    def load(self, tools: Tools) -> None:
        """Nothing is read."""
        self.sigma = tools.protocol.ssim_256_sigma

    def measure(self, pair: Pair) -> Numbers:
        """Of a picture that is all one grey there is none."""
        from mcld.evaluate.metrics import ssim_256

        similarity = ssim_256(*pair.compared, self.sigma)
        if similarity != similarity:
            raise InputError("it is all one grey, which has no ssim_256")
        return {"ssim_256": similarity}
