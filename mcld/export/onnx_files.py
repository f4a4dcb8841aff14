"""A pipeline as a folder of ONNX graphs, which is kept if it paints what PyTorch paints."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from mcld import __version__
from mcld.errors import MCLDError, SettingsError
from mcld.export.graphs import Decode, Denoise, Encode, Graph, GuidePose, run_to_the_end
from mcld.export.request import ExportRequest
from mcld.machine.files import write_folder_whole, write_json
from mcld.machine.processes import ignore
from mcld.pipeline import MCLDPipeline
from mcld.pipeline_inputs import PipelineInputs
from mcld.sampling.inputs import Networks
from mcld.sampling.onnx_pipeline import DESCRIPTION, FORMAT, GRAPHS, OnnxPipeline
from mcld.sampling.open import open_pipeline
from mcld.sampling.paint import as_images, paint
from mcld.sampling_options import SamplingOptions
from mcld.settings import Settings
from mcld.surface.charts import TEXTURE_SIZE
from mcld.surface.parts import PARTS

LEAST_PSNR = 50.0
"""Of a graph's picture to PyTorch's, dB: below it, something else than rounding differs."""
_SEED = 0
"""Of the person and the noise that graphs are traced and checked with."""


@dataclass(frozen=True)
class Agreement:
    """How near the graphs' picture is to PyTorch's."""

    psnr: float
    """dB; infinite for equal pictures."""
    share: float
    """Of the picture's numbers, those that differ, 0..1."""
    levels: int
    """By how many of 255 at most."""


def export_onnx(
    request: ExportRequest,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_graph: Callable[[int, int], None],
) -> Agreement:
    """Write a pipeline as graphs, run them, and compare their picture with PyTorch's.

    say: told, in one line each, what the user should know; on_graph: called with (graphs done,
    graphs to do).

    Raises WeightsError and InputError as `open_pipeline` does, and MCLDError when the graphs paint
    something else, or cannot be written: then nothing is left behind.
    """
    opened = open_pipeline(request.weights, settings, torch.device("cpu"), say)
    pipeline, options = opened.pipeline, opened.options
    person = _Stranger(options)
    with write_folder_whole(request.out) as folder:
        inputs = person.read(pipeline, options)
        write_graphs(pipeline, options, opened.weights, inputs, folder, on_graph)
        graphs = OnnxPipeline.open(folder)
        (picture,) = graphs.paint(person.read(graphs, options), [_SEED])
        (wanted,) = as_images(
            paint(pipeline, _condition(pipeline, inputs), options, [_SEED], on_step=ignore)
        )
        found = compare_pictures(picture, np.asarray(wanted))
        if not found.psnr >= LEAST_PSNR:  # nor NaN
            raise MCLDError(
                f"the graphs paint another picture than PyTorch, {found.psnr:.1f} dB from it:"
                " nothing was kept; please report it, with the network's configuration"
            )
    return found


def write_graphs(
    pipeline: MCLDPipeline,
    options: SamplingOptions,
    weights: str,
    inputs: PipelineInputs,
    folder: Path,
    on_graph: Callable[[int, int], None] = ignore,
) -> None:
    """Write the four graphs, their weights beside them, and what a program must know to run them.

    options: how they sample. weights: the hash of the networks. inputs: of any person; the graphs
    are traced with them. on_graph: called with (graphs done, graphs to do).

    Raises SettingsError for a scheduler other than DDIM.
    """
    steps = list_steps(pipeline.scheduler, options.num_inference_steps)
    noise = pipeline.draw_noise(1, options, torch.Generator().manual_seed(_SEED))
    values: dict[str, Any] = {
        name: torch.from_numpy(value) for name, value in vars(inputs).items() if value is not None
    }
    values |= {"latents": noise, "timestep": torch.tensor(steps[0]["timestep"])}
    graphs: tuple[Graph, ...] = (
        Encode(pipeline),
        GuidePose(pipeline, options, sees_texture=inputs.warped is not None),
        Denoise(pipeline, options),
        Decode(pipeline),
    )
    on_graph(0, len(graphs))
    for done, (name, graph) in enumerate(zip(GRAPHS, graphs, strict=True), 1):
        given = tuple(values[key] for key in graph.inputs)
        with torch.no_grad(), run_to_the_end(pipeline.reference_unet):
            made = graph.eval()(*given)
            values |= zip(graph.outputs, [made] if torch.is_tensor(made) else made, strict=True)
            _write_graph(graph, given, folder / f"{name}.onnx")
        on_graph(done, len(graphs))
    extractor, refiner = pipeline.feature_extractor, pipeline.refiner
    crops = bool(extractor.do_center_crop)
    side = extractor.crop_size if crops else extractor.size
    description = {
        "format": FORMAT,
        "version": __version__,
        "weights": weights,
        "options": asdict(options),
        "steps": steps,
        "latent_channels": noise.shape[1],
        "latent_size": list(noise.shape[2:]),
        "face_embedder": pipeline.config.face_embedder,
        "sees_texture": inputs.warped is not None,
        "refiner_scale": None if refiner is None else refiner.scale,
        "image_encoder": {
            "size": side["height"],
            "square": crops,
            "mean": list(extractor.image_mean),
            "std": list(extractor.image_std),
        },
    }
    write_json(folder / DESCRIPTION, description)


def list_steps(scheduler: Any, count: int) -> list[dict[str, float]]:
    """The steps of DDIM: the timestep, and the signal's share of the variance at it and the next.

    Raises SettingsError for another scheduler, or one that clips or thresholds.
    """
    config = scheduler.config
    if type(scheduler) is not DDIMScheduler or config.clip_sample or config.thresholding:
        raise SettingsError(
            f"graphs sample by plain DDIM, and these weights by {type(scheduler).__name__}: give"
            " --scheduler ddim"
        )
    scheduler.set_timesteps(count)
    timesteps = scheduler.timesteps.tolist()
    stride = config.num_train_timesteps // count
    steps = []
    for timestep in timesteps:
        following = timestep - stride
        signal = scheduler.alphas_cumprod
        final = scheduler.final_alpha_cumprod
        next_alpha = float(signal[following] if following >= 0 else final)
        alpha = float(signal[timestep])
        steps.append({"timestep": timestep, "alpha": alpha, "next_alpha": next_alpha})
    return steps


def compare_pictures(picture: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> Agreement:
    """How near two pictures are, uint8 [H, W, 3] both."""
    difference = np.abs(picture.astype(int) - wanted)
    error = float(np.square(difference).mean()) / 255**2
    psnr = -10 * np.log10(error) if error else float("inf")
    return Agreement(float(psnr), float((difference > 0).mean()), int(difference.max()))


def _write_graph(graph: Graph, given: tuple[torch.Tensor, ...], file: Path) -> None:
    """Trace a graph and write it, its weights in a file beside it."""
    import onnx_ir

    model = trace(graph, given, graph.inputs, graph.outputs)
    onnx_ir.save(model, file, external_data=f"{file.name}.data")


def trace(
    module: nn.Module,
    given: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Any:
    """A module as an `onnx_ir.Model`, with these names, for inputs of these shapes.

    What follows from shapes alone is computed here, or opening the graph would take twice as long.
    The rest is left to what runs it: weights keep their names, and names their weights.
    """
    from onnx_ir.passes import common
    from onnxscript import optimizer

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            given,
            dynamo=True,
            optimize=False,
            verbose=False,
            input_names=list(inputs),
            output_names=list(outputs),
        )
    assert program is not None
    model = program.model
    common.InlinePass()(model)
    weights = set(model.graph.initializers.values())
    optimizer.fold_constants(
        model,
        onnx_shape_inference=True,
        should_fold=lambda node: False if weights.intersection(node.inputs) else None,
    )
    common.RemoveUnusedNodesPass()(model)
    _forget_sources(model)
    return model


def _forget_sources(model: Any) -> None:
    """Remove what tracing noted of lines of code: ten times as much as the graph itself."""
    for part in (model.graph, *model.functions.values()):
        part.metadata_props.clear()
        part.doc_string = None
        for node in part.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _condition(pipeline: MCLDPipeline, inputs: PipelineInputs) -> Any:
    with torch.no_grad():
        return pipeline.conditions(inputs)


class _Stranger:
    """A person of noise, in a pose of noise, before nothing: all that graphs look at occurs."""

    def __init__(self, options: SamplingOptions) -> None:
        random = np.random.default_rng(_SEED)
        height, width = options.height, options.width
        self.photo = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        texture = random.integers(1, 256, (TEXTURE_SIZE, TEXTURE_SIZE, 3), np.uint8)
        texture[: TEXTURE_SIZE // 3] = 0  # not shown
        self.texture = Image.fromarray(texture)
        self.iuv = np.zeros((height, width, 3), np.uint8)
        body = self.iuv[height // 8 : -height // 8, width // 4 : -width // 4]
        labels = random.integers(1, PARTS + 1, (8, 4), np.uint8)
        rows, columns = (np.arange(k) * n // k for k, n in zip(body.shape, (8, 4), strict=False))
        body[..., 0] = labels[np.ix_(rows, columns)]
        body[..., 1:] = random.integers(0, 256, (*body.shape[:2], 2), np.uint8)
        self.face = random.standard_normal((1, 512)).astype(np.float32)

    def read(self, networks: Networks, options: SamplingOptions) -> PipelineInputs:
        """As these networks read it."""
        size = options.height, options.width
        return networks.input_form.read([self.photo], [self.texture], [self.iuv], self.face, *size)
