"""A pipeline as ONNX graphs, run by ONNX Runtime: a picture without PyTorch.

`mcld.export` writes the folder that is read here: the graphs encode, guide_pose, denoise and
decode, and what a program must know to run them, pipeline.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from mcld.errors import MCLDError, WeightsError
from mcld.machine.onnx import open_session
from mcld.machine.processes import ignore
from mcld.pipeline_inputs import InputForm, PipelineInputs, square
from mcld.sampling_options import SamplingOptions
from mcld.surface.warp import mark_completed, mark_shown, warp_texture

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DESCRIPTION = "pipeline.json"
GRAPHS = ("encode", "guide_pose", "denoise", "decode")
FORMAT = 1
"""Of the description; another is refused."""

FloatArray = NDArray[np.float32]
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class OnnxPipeline:
    """The graphs of a pipeline, which make one picture at a time, at one size.

    Raises WeightsError, when they are first needed, for graphs that are missing or damaged.
    """

    folder: Path
    """Of the graphs."""
    description: dict[str, Any]
    """What pipeline.json says."""
    options: SamplingOptions
    """How they sample."""
    weights_folder: Path | None = None
    """The pipeline folder that holds the graphs' weights; None: they lie beside them."""
    threads: int | None = None
    """That ONNX Runtime works in; None: as many as there are cores."""

    @classmethod
    def open(
        cls, folder: Path, weights_folder: Path | None = None, threads: int | None = None
    ) -> OnnxPipeline:
        """Open a folder of graphs; the arguments are the fields.

        Raises WeightsError for a folder that holds none.
        """
        path = folder / DESCRIPTION
        try:
            description = json.loads(path.read_text("utf-8"))
            if description["format"] != FORMAT:
                raise WeightsError(f"{path} was written by another version: export it again")
            options = SamplingOptions.from_json(description["options"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{folder} holds no pipeline of ONNX graphs: `mcld export` writes one ({error})"
            ) from error
        return cls(folder, description, options, weights_folder, threads)

    @property
    def weights(self) -> str:
        """The hash of the networks that the graphs were made of, as a record names them."""
        return str(self.description["weights"])

    @property
    def face_embedder(self) -> str:
        """What makes the face embeddings that it knows, as in `MCLDPipeline`."""
        return str(self.description["face_embedder"])

    @property
    def input_form(self) -> InputForm:
        """In what form the graphs read pictures and maps."""
        textured = self.description["sees_texture"]
        return InputForm(
            self.options.pose_resample,
            self.options.reference_input,
            self.description["refiner_scale"],
            mark_completed if textured else mark_shown,
            _warp if textured else _see_nothing,
            self._read_pixels,
        )

    def resolve_options(self, keep: str | None) -> SamplingOptions:
        """How they sample; keep: as `MCLDPipeline.resolve_options` has it."""
        return replace(self.options, keep=keep or self.options.keep)

    def prepare(self) -> None:
        """Open the graphs, which painting does otherwise. Raises WeightsError."""
        _ = self._sessions

    def paint(
        self, inputs: PipelineInputs, seeds: Sequence[int], on_step: OnStep = ignore
    ) -> NDArray[np.uint8]:
        """The pictures of one person in one pose, uint8 [N, H, W, 3] RGB.

        inputs: as `input_form` reads them. seeds: of each picture's starting noise, the same as
        PyTorch draws on a CPU. on_step: told (steps done, steps to do), over all pictures.
        """
        given = {name: values for name, values in vars(inputs).items() if values is not None}
        shared = {**self._run("encode", given), **self._run("guide_pose", given)}
        steps = self.description["steps"]
        pictures = []
        for k, seed in enumerate(seeds):
            shape = 1, self.description["latent_channels"], *self.description["latent_size"]
            latents = draw_noise(seed, int(np.prod(shape))).reshape(shape)
            for number, step in enumerate(steps, 1):
                timestep = np.array(step["timestep"], np.int64)
                state = {**shared, "latents": latents, "timestep": timestep}
                (prediction,) = self._run("denoise", state).values()
                latents = _take_step(latents, prediction, step["alpha"], step["next_alpha"])
                on_step(k * len(steps) + number, len(seeds) * len(steps))
            (picture,) = self._run("decode", {**given, "latents": latents}).values()
            pictures.append(np.rint(picture[0] * 255).astype(np.uint8).transpose(1, 2, 0))
        return np.stack(pictures)

    def _run(self, name: str, given: dict[str, Any]) -> dict[str, FloatArray]:
        session = self._sessions[name]
        wanted = [value.name for value in session.get_inputs()]
        outputs = [value.name for value in session.get_outputs()]
        feeds = {key: np.asarray(given[key], order="C") for key in wanted}
        return dict(zip(outputs, session.run(outputs, feeds), strict=True))

    @cached_property
    def _sessions(self) -> dict[str, InferenceSession]:
        weights = {} if self.weights_folder is None else _read_weights(self.weights_folder)
        return {name: self._open_session(name, weights) for name in GRAPHS}

    def _open_session(self, name: str, weights: dict[str, FloatArray]) -> InferenceSession:
        path = self.folder / f"{name}.onnx"
        try:
            names = self.description["weights_of"][name] if weights else ()
            return open_session(path, self.threads or 0, {key: weights[key] for key in names})
        except MCLDError:
            raise
        except Exception as error:  # ONNX Runtime has no class of its errors
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path} cannot be run: {reason}") from error

    def _read_pixels(self, images: list[Image.Image]) -> FloatArray:
        """As `MCLDPipeline.encoder_pixels` reads them."""
        encoder = self.description["image_encoder"]
        if encoder["square"]:
            images = [square(image) for image in images]
        size = (encoder["size"],) * 2
        resized = [np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images]
        mean, std = (np.array(encoder[name], np.float32) for name in ("mean", "std"))
        pixels = (np.stack(resized).astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def draw_noise(seed: int, count: int) -> FloatArray:
    """Standard normal numbers, float32 [count], as PyTorch's generator of a CPU draws them.

    count: at least 16. Its Mersenne Twister gives a uniform number of 24 bits each; Box and
    Muller's transform takes blocks of 16, eight radii and eight angles; an unfinished last block is
    drawn anew. What PyTorch's approximate logarithm and cosine do besides is below 1e-6.
    """
    random = np.random.RandomState()
    random.seed(seed & 0xFFFFFFFF)
    whole, rest = count - count % 16, 16 if count % 16 else 0
    bits = random.randint(0, 2**32, count + rest, np.uint32) & 0xFFFFFF
    uniform = bits.astype(np.float32) * np.float32(2**-24)
    noise = np.empty(count, np.float32)
    noise[:whole] = _transform_normal(uniform[:whole])
    if rest:
        noise[-16:] = _transform_normal(uniform[count:])
    return noise


def _transform_normal(uniform: FloatArray) -> FloatArray:
    blocks = uniform.reshape(-1, 2, 8)
    radius = np.sqrt(np.float32(-2) * np.log(1 - blocks[:, 0]))
    angle = np.float32(2 * np.pi) * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


def _take_step(
    latents: FloatArray, prediction: FloatArray, alpha: float, next_alpha: float
) -> FloatArray:
    """A step of DDIM (2010.02502, equation 12) without noise, from a prediction of v.

    alpha, next_alpha: the signal's share of the variance at this timestep and the next.
    """
    signal, noise = np.float32(alpha**0.5), np.float32((1 - alpha) ** 0.5)
    next_signal, next_noise = np.float32(next_alpha**0.5), np.float32((1 - next_alpha) ** 0.5)
    clean: FloatArray = signal * latents - noise * prediction
    direction: FloatArray = signal * prediction + noise * latents
    taken: FloatArray = next_signal * clean + next_noise * direction
    return taken


def _warp(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return warp_texture(iuv, texture[..., :3])


def _see_nothing(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> None:
    del iuv, texture


def _read_weights(folder: Path) -> dict[str, FloatArray]:
    """The weights of a pipeline folder, float32, by part and name."""
    weights = {}
    for path in folder.glob("*/*.safetensors"):
        try:
            with safe_open(path, "np") as file:
                for key in file.keys():  # noqa: SIM118 - it is no mapping
                    weights[f"{path.parent.name}.{key}"] = file.get_tensor(key).astype(np.float32)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path} cannot be read: {error}") from error
    return weights
