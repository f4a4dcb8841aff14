"""What networks read of people and poses: photos, maps and textures at the networks' sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.surface.atlas import warp_atlas

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

SQUARE = 512
"""Side, in pixels, of the square that a picture is squashed to before an image encoder crops it."""


@dataclass(frozen=True)
class PipelineInputs:
    """What is read of B people and poses: pixels at the networks' sizes."""

    source: FloatArray
    """[B, 3, S, S] the source photo, normalised for the image encoder."""
    texture: FloatArray
    """[B, 3, S, S] the texture map, normalised for the image encoder."""
    reference: FloatArray
    """[B, 3, H, W] what ReferenceNet sees, -1..1."""
    face: FloatArray
    """[B, 512] face embedding; zeros where no face was found."""
    pose: UInt8Array
    """[B, 3, H, W] target IUV map, (I, U, V)."""
    warped: UInt8Array | None
    """[B, 3, H, W] RGB, what the pose guider sees besides; None for one that sees no more."""
    fine_pose: UInt8Array | None
    """[B, 3, sH, sW] as `pose`, at the size that a refiner enlarges to; None without one."""
    fine_warped: UInt8Array | None
    """[B, 4, sH, sW] the photo's pixels warped onto it, RGB, and 255 where they are seen."""

    @classmethod
    def cat(cls, inputs: list[Self]) -> Self:
        """Join those of several people into one batch."""
        parts = ([getattr(i, f.name) for i in inputs] for f in fields(cls))
        joined: list[Any] = [None if part[0] is None else np.concatenate(part) for part in parts]
        return cls(*joined)

    def __getitem__(self, rows: slice) -> Self:
        """Those of some of the people."""
        parts = (getattr(self, f.name) for f in fields(self))
        chosen: list[Any] = [None if part is None else part[rows] for part in parts]
        return type(self)(*chosen)


@dataclass(frozen=True)
class InputForm:
    """In what form a pipeline's networks read pictures and maps."""

    pose_resample: str
    """How IUV maps are resized, "bicubic" or "nearest"."""
    reference_input: str
    """What ReferenceNet sees, "texture" or "source"."""
    refiner_scale: int | None
    """By how much a refiner enlarges pictures along a side; None without one."""
    complete: Callable[[UInt8Array], UInt8Array]
    """A source's texture map as the pose guider takes it: `PoseGuider.complete`."""
    look: Callable[[UInt8Array, UInt8Array], UInt8Array | None]
    """What the pose guider sees besides the pose: `PoseGuider.look`."""
    encoder_pixels: Callable[[list[Image.Image]], FloatArray]
    """B pictures -> [B, 3, S, S] as the image encoder reads them."""

    def read(
        self,
        source: list[Image.Image],
        texture: list[Image.Image],
        pose: list[UInt8Array],
        face: FloatArray,
        height: int,
        width: int,
        atlas: Sequence[UInt8Array | None] | None = None,
    ) -> PipelineInputs:
        """Bring B people and poses to the networks' sizes; `MCLDPipeline.inputs` tells of what."""
        known = {id(image): image for image in texture}  # the poses of a person share one
        completed = {
            key: self.complete(np.asarray(image.convert("RGB"))) for key, image in known.items()
        }
        textures = [completed[id(image)] for image in texture]
        maps = self._resize_poses(pose, height, width)
        looks = [self.look(iuv, t) for iuv, t in zip(maps, textures, strict=True)]
        warped = [look for look in looks if look is not None]
        fine_pose = fine_warped = None
        if self.refiner_scale is not None:
            fine = self._resize_poses(pose, height * self.refiner_scale, width * self.refiner_scale)
            atlas = atlas or [None] * len(fine)
            closer = [warp_atlas(*one) for one in zip(fine, atlas, textures, strict=True)]
            fine_pose, fine_warped = _stack_planes(fine), _stack_planes(closer)
        seen = source if self.reference_input == "source" else texture
        return PipelineInputs(
            source=self.encoder_pixels(source),
            texture=self.encoder_pixels(texture),
            reference=scale_pictures(seen, height, width),
            face=face,
            pose=_stack_planes(maps),
            warped=_stack_planes(warped) if warped else None,
            fine_pose=fine_pose,
            fine_warped=fine_warped,
        )

    def resize_iuv(self, iuv: UInt8Array, height: int, width: int) -> UInt8Array:
        """An IUV map, uint8 [H, W, 3], at another size, as the network was trained on them."""
        resample = Image.Resampling[self.pose_resample.upper()]
        return np.array(Image.fromarray(iuv).resize((width, height), resample))

    def _resize_poses(self, pose: list[UInt8Array], height: int, width: int) -> list[UInt8Array]:
        """Each at a size; the pictures of an edit share one, which is resized once."""
        resized = {id(iuv): self.resize_iuv(iuv, height, width) for iuv in pose}
        return [resized[id(iuv)] for iuv in pose]


def scale_pictures(images: list[Image.Image], height: int, width: int) -> FloatArray:
    """B RGB pictures of any size -> float32 [B, 3, H, W], -1..1, resized bicubically.

    The same as diffusers' `VaeImageProcessor` makes of them.
    """
    size = width, height
    resized = [np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images]
    planes = np.stack(resized).transpose(0, 3, 1, 2).astype(np.float32)
    return np.ascontiguousarray(planes / np.float32(255) * 2 - 1)


def square(image: Image.Image) -> Image.Image:
    """A picture as it is given to an image encoder that crops, so that it crops nothing away.

    The authors squash every picture to 512x512 first.
    """
    return image.resize((SQUARE, SQUARE), Image.Resampling.BICUBIC)


def _stack_planes(pictures: list[UInt8Array]) -> UInt8Array:
    """B arrays [H, W, C] -> [B, C, H, W]."""
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
