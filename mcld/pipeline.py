"""MCLDPipeline: the conditions of a person and a pose in, pictures out."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, SchedulerMixin
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput, logging
from diffusers.utils.torch_utils import randn_tensor
from huggingface_hub import create_repo, file_exists, upload_folder
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from mcld.conditions import FOCAL_CONDITIONS, FocalConditions, scale_iuv
from mcld.errors import InputError
from mcld.machine.tensor_files import halve_exact
from mcld.model import MCLD, DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
from mcld.model.attention import DeepFeatures, FocalContext
from mcld.model_card import CARD, name_real_modules, write_card, write_hub_code
from mcld.picture_arguments import (
    Pictures,
    read_faces,
    read_iuv_maps,
    read_photos,
    read_texture_maps,
)
from mcld.pipeline_inputs import InputForm, PipelineInputs, square
from mcld.sampling_options import EVERYWHERE, SamplingOptions
from mcld.surface.atlas import lay_atlas

_T = TypeVar("_T")
logger = logging.get_logger(__name__)

StepCallback = Callable[["MCLDPipeline", int, int, dict[str, Tensor]], dict[str, Tensor]]
"""Called with (pipeline, step, timestep, {"latents": ...}); returns what goes on."""

SCALE_FACTOR = 8
"""Pixels of a picture along one latent pixel's side: the pose guider's downsampling is fixed."""
TIMESTEPS = 1000
"""Of the noise schedule that networks are trained on."""


def ddim_scheduler(
    beta_schedule: str = "linear", beta_start: float = 0.00085, beta_end: float = 0.012
) -> DDIMScheduler:
    """The paper's noise schedule: v-prediction, zero terminal SNR, trailing timesteps.

    beta_schedule: "linear" as in the authors' released sampler, "scaled_linear" as in training.
    """
    return DDIMScheduler(
        beta_start=beta_start,
        beta_end=beta_end,
        beta_schedule=beta_schedule,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
    )


def check_scheduler(scheduler: SchedulerMixin) -> None:
    """Raise InputError for a scheduler that keeps no v-prediction or no zero terminal SNR.

    Several take a configuration with both, and sample on without.
    """
    signal = getattr(scheduler, "alphas_cumprod", None)
    zero = signal is not None and float(signal[-1]) < _ZERO_SIGNAL
    named = any(kind.__name__ in _SCHEDULERS for kind in type(scheduler).__mro__)
    if named and zero and scheduler.config.prediction_type == "v_prediction":
        return
    raise InputError(
        f"{type(scheduler).__name__} cannot sample this network: it needs v-prediction and zero"
        " terminal SNR, as DDIM, DDPM, Euler, Euler ancestral, DPM-Solver++ (multistep), UniPC, LCM"
        " and TCD have them; make one with from_config(pipeline.scheduler.config)"
    )


_SCHEDULERS = (
    *("DDIMScheduler", "DDIMParallelScheduler", "DDPMScheduler", "DDPMParallelScheduler"),
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "UniPCMultistepScheduler"),
    *("DPMSolverMultistepScheduler", "LCMScheduler", "TCDScheduler"),
)
"""Diffusers' schedulers that sample, and know both."""
_ZERO_SIGNAL = 1e-6
"""Share of the signal that is left at the last timestep, at most; diffusers keeps 2^-24 of it."""


def _repeat(pictures: list[_T], count: int) -> list[_T]:
    """One picture as often as it is needed; several as they are."""
    return pictures * count if len(pictures) == 1 else pictures


@dataclass
class MCLDPipelineOutput(BaseOutput):
    """What the pipeline returns: `images`, in the form that `output_type` asked for."""

    images: list[Image.Image] | NDArray[np.float32] | Tensor


_DEFAULTS = {
    "num_inference_steps": 20,
    "guidance_scale": 3.5,
    "focal_conditions": FOCAL_CONDITIONS,
    "reference_input": "texture",
    "pose_resample": "bicubic",
    "edit_strength": 1.0,
    "keep": "nothing",
    "face_embedder": "arcface",
}
"""The paper's, of what a network is sampled with when nothing is said."""


class MCLDPipeline(DiffusionPipeline):
    """Repaints a person in a new pose, from the parts of one photo.

    Args:
        vae: pictures <-> latents, frozen (AutoencoderKL, or what stands in for it).
        image_encoder, feature_extractor: CLIP vision model and its preprocessing, frozen.
        denoising_unet, reference_unet, pose_guider, image_projector: the network of MCLD.
        scheduler: any diffusers scheduler; the paper's is DDIM.
        refiner: an optional part beside a guider that sees the warped texture: (decoded pictures
            [B, 3, H, W] about -1..1, `fine_pose` and `fine_warped` of `FocalConditions`) -> the
            same pictures, refined, and enlarged by its `scale`.
        num_inference_steps, guidance_scale: what `__call__` uses when it is not told; saved with
            the weights, because a network knows best how it wants to be sampled. These and all that
            follow are, when left out, as in the last pipeline that the network was in, or else the
            paper's.
        focal_conditions: which of source, texture and face it was trained with; zeros stand in for
            the others; a list, or as the hub needs it, "source,texture,face".
        reference_input: what ReferenceNet sees, "texture" (the paper's) or "source".
        edit_strength: for `mcld.edit`, the network's share in a picture that is edited in the
            photo's own pose, 0..1; the rest is the photo with the edited texture warped onto it.
        keep: what of the source's photo `mcld.sampling` keeps in a new pose, "background" or, as
            the paper, "nothing". A call of the pipeline makes the network's own picture.
        face_embedder: what makes the face embeddings that it knows, "arcface" (the paper's) or
            "head_crop", the small picture of the head that mannequins are told by.
        pose_resample: how IUV maps are brought to the network's size: "bicubic", which blends part
            labels at their borders, as the authors do, or "nearest".
    """

    model_cpu_offload_seq = (
        "image_encoder->reference_unet->image_projector->pose_guider->denoising_unet->vae->refiner"
    )
    """For diffusers' `enable_model_cpu_offload`: each leaves the GPU when the next is needed, the
    last when a call ends."""
    _ready = False
    _optional_components = ["refiner"]  # noqa: RUF012 - diffusers' own way

    def __init__(
        self,
        vae: Any,
        image_encoder: CLIPVisionModelWithProjection,
        feature_extractor: CLIPImageProcessor,
        denoising_unet: DenoisingUNet,
        reference_unet: ReferenceNet,
        pose_guider: PoseGuider,
        image_projector: ImageProjector,
        scheduler: SchedulerMixin,
        refiner: nn.Module | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        focal_conditions: list[str] | str | None = None,
        reference_input: str | None = None,
        pose_resample: str | None = None,
        edit_strength: float | None = None,
        keep: str | None = None,
        face_embedder: str | None = None,
    ) -> None:
        super().__init__()
        known = getattr(denoising_unet, "sampling_defaults", {})
        self.register_modules(
            vae=vae,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
            denoising_unet=denoising_unet,
            reference_unet=reference_unet,
            pose_guider=pose_guider,
            image_projector=image_projector,
            scheduler=scheduler,
            refiner=refiner,
        )
        if isinstance(focal_conditions, str):
            focal_conditions = focal_conditions.split(",")
        given = {
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "focal_conditions": focal_conditions,
            "reference_input": reference_input,
            "pose_resample": pose_resample,
            "edit_strength": edit_strength,
            "keep": keep,
            "face_embedder": face_embedder,
        }
        given = {name: value for name, value in given.items() if value is not None}
        self.register_to_config(**{**_DEFAULTS, **known, **given})
        if not known:  # what another pipeline is told about the same network stays there
            denoising_unet.sampling_defaults = {n: self.config[n] for n in _DEFAULTS}
        self._ready = True
        self.image_processor = VaeImageProcessor(SCALE_FACTOR, resample="bicubic")

    def register_to_config(self, **values: Any) -> None:
        """As diffusers has it; the network remembers how it wants to be sampled.

        So that `MCLDPipeline(**pipeline.components)` samples as this pipeline does.
        """
        super().register_to_config(**values)
        if self._ready and _DEFAULTS.keys() & values.keys():
            self.denoising_unet.sampling_defaults = {n: self.config[n] for n in _DEFAULTS}

    def register_modules(self, **parts: Any) -> None:
        """As diffusers has it; another network in the place of this one is sampled as this is."""
        super().register_modules(**parts)
        if self._ready and "denoising_unet" in parts:
            self.denoising_unet.sampling_defaults = {n: self.config[n] for n in _DEFAULTS}

    @classmethod
    def load_config(cls, *arguments: Any, **options: Any) -> Any:
        """As diffusers has it; parts that went to the hub are mcld's own, not files beside them."""
        loaded = super().load_config(*arguments, **options)
        if isinstance(loaded, tuple):  # with what was not used
            return (name_real_modules(loaded[0]), *loaded[1:])
        return name_real_modules(loaded)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *arguments: Any,
        push_to_hub: bool = False,
        **options: Any,
    ) -> None:
        """As diffusers has it.

        push_to_hub: upload the folder as `push_to_hub` does, whose arguments count; `repo_id` is by
        default the folder's name. A README.md in the folder is kept, and is then the card.
        """
        names = ("repo_id", "commit_message", "private", "token", "create_pr", "evaluation")
        upload = {name: options.pop(name) for name in names if name in options}
        super().save_pretrained(str(save_directory), *arguments, **options)
        if push_to_hub:
            folder = Path(save_directory)
            self._upload(folder, **{"repo_id": folder.resolve().name, **upload})

    def push_to_hub(
        self,
        repo_id: str,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        create_pr: bool = False,
        evaluation: Path | None = None,
        **options: Any,
    ) -> Any:
        """Upload this pipeline to the Hugging Face hub, with a model card and the code to load it.

        Files whose every weight half precision holds exactly are uploaded in it, as those of a
        network that was saved with `train.save_dtype=float16` are: no weight changes by that.

        Args:
            repo_id: org/name; made where it is not there. A card that is there is kept.
            commit_message, private, token, create_pr: as diffusers has them.
            evaluation: folder that `mcld evaluate` wrote, whose figures go into the card.
            options: `save_pretrained`'s.

        Returns what `huggingface_hub.upload_folder` does.

        Raises InputError when `evaluation` cannot be read, and the errors of huggingface_hub.
        """
        with TemporaryDirectory() as folder:
            super().save_pretrained(folder, **options)
            return self._upload(
                Path(folder), repo_id, commit_message, private, token, create_pr, evaluation
            )

    def _upload(
        self,
        folder: Path,
        repo_id: str,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        create_pr: bool = False,
        evaluation: Path | None = None,
    ) -> Any:
        for file in folder.glob("*/*.safetensors"):
            halve_exact(file)
        write_hub_code(folder)
        if not (folder / CARD).exists():  # else it is the user's own
            write_card(folder, repo_id, dict(self.config), evaluation)
        repo_id = create_repo(repo_id, exist_ok=True, private=private, token=token).repo_id
        kept = [CARD] if file_exists(repo_id, CARD, token=token) else None
        return upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message or f"Upload {type(self).__name__}",
            token=token,
            create_pr=create_pr,
            ignore_patterns=kept,
        )

    @classmethod
    def from_pipe(cls, pipeline: Self, **changes: Any) -> Self:
        """Another pipeline of the same parts but for `changes`, by the names of the arguments."""
        how = {name: pipeline.config[name] for name in _DEFAULTS}
        return cls(**{**pipeline.components, **how, **changes})

    def set_use_memory_efficient_attention_xformers(self, valid: bool, *_: Any) -> None:
        """Refuse xformers, as the UNets do: diffusers would replace every layer's processor."""
        self.denoising_unet.set_use_memory_efficient_attention_xformers(valid)

    @property
    def network(self) -> MCLD:
        """The four trainable parts as one module; it shares their weights."""
        return MCLD(
            self.denoising_unet, self.reference_unet, self.pose_guider, self.image_projector
        )

    def encoder_pixels(self, images: list[Image.Image]) -> Tensor:
        """B pictures of any size -> [B, 3, S, S] float32, as the image encoder reads them.

        A feature extractor that crops is given squares.
        """
        if self.feature_extractor.do_center_crop:
            images = [square(image) for image in images]
        pixels: Tensor = self.feature_extractor(images=images, return_tensors="pt").pixel_values
        return pixels

    def embed(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] of `encoder_pixels` -> [B, 1, D] embeddings of the image encoder."""
        pixels = pixels.to(self._execution_device, self.image_encoder.dtype)
        return self.image_encoder(pixels).image_embeds[:, None]  # type: ignore[no-any-return]

    def encode_moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] pictures, -1..1 -> mean and standard deviation of their scaled latents.

        Both are [B, C, H / 8, W / 8].
        """
        encoded = self.vae.encode(pixels.to(self._execution_device, self.vae.dtype)).latent_dist
        factor = self.vae.config.scaling_factor
        return encoded.mean * factor, encoded.std * factor

    def decode(self, latents: Tensor, conditions: FocalConditions) -> Tensor:
        """[B, C, h, w] scaled latents -> [B, 3, 8h, 8w] float32 pictures, 0..1.

        conditions: what they were sampled for; a refiner looks at the pose and the texture on it,
        and the pictures are larger by its scale.
        """
        latents = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        pictures: Tensor = self.vae.decode(latents).sample
        if self.refiner is not None:
            pictures = self.refiner(pictures, conditions.fine_pose, conditions.fine_warped)
        return (pictures.float() / 2 + 0.5).clamp(0, 1)

    @property
    def input_form(self) -> InputForm:
        """In what form its networks read pictures and maps."""
        return InputForm(
            self.config.pose_resample,
            self.config.reference_input,
            None if self.refiner is None else self.refiner.scale,
            self.pose_guider.complete,
            self.pose_guider.look,
            lambda images: self.encoder_pixels(images).numpy(),
        )

    def inputs(
        self,
        source: list[Image.Image],
        texture: list[Image.Image],
        pose: list[NDArray[np.uint8]],
        face: NDArray[np.float32] | None,
        height: int,
        width: int,
        atlas: Sequence[NDArray[np.uint8] | None] | None = None,
    ) -> PipelineInputs:
        """Bring B people and poses to the networks' sizes. Needs no network: several threads may.

        Args:
            source: B photos, RGB, of any size.
            texture: their texture maps, RGB, usually 512x512.
            pose: B IUV maps, uint8 [H, W, 3] (I, U, V), of any size.
            face: [B, 512] face embeddings; None for none.
            height, width: of the pictures to make, pixels.
            atlas: of each photo what it shows, as `mcld.surface.atlas.lay_atlas` lays it, for a
                refiner to look closer than the texture map goes; None where that is not known.
        """
        if face is None:
            face = np.zeros((len(source), self.image_projector.config.embedding_dim), np.float32)
        return self.input_form.read(source, texture, pose, face, height, width, atlas)

    def conditions(
        self, inputs: PipelineInputs, same: FocalConditions | None = None
    ) -> FocalConditions:
        """Encode what was read of B people.

        same: [1] conditions of the one person that all B are; then the poses are encoded alone.
        """
        device = self._execution_device

        def scale_pixels(pixels: NDArray[np.uint8] | None) -> Tensor | None:
            return None if pixels is None else torch.from_numpy(pixels).to(device).float() / 255

        face = torch.from_numpy(inputs.face)
        if same is None:
            kinds = inputs.source, inputs.texture, inputs.reference
            seen, unrolled, reference = (torch.from_numpy(pixels) for pixels in kinds)
            source, texture = self.embed(seen), self.embed(unrolled)
            reference = self.encode_moments(reference)[0]
        else:
            parts = same.source, same.texture, same.reference_latents, same.face
            rows = len(face)
            source, texture, reference, face = (p.expand(rows, *p.shape[1:]) for p in parts)
        fine = inputs.fine_pose
        conditions = FocalConditions(
            source=source,
            texture=texture,
            reference_latents=reference,
            face=face,
            pose=scale_iuv(torch.from_numpy(inputs.pose).to(device)),
            warped=scale_pixels(inputs.warped),
            fine_pose=None if fine is None else scale_iuv(torch.from_numpy(fine).to(device)),
            fine_warped=scale_pixels(inputs.fine_warped),
        )
        kept = conditions.keep(self.config.focal_conditions)
        return kept.to(device, self.denoising_unet.dtype)

    @torch.no_grad()
    def __call__(
        self,
        source: Pictures,
        texture: Pictures,
        pose: Pictures,
        face: Tensor | NDArray[np.float32] | None = None,
        *,
        source_pose: Pictures | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_interval: Sequence[float] = EVERYWHERE,
        cache_interval: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
    ) -> MCLDPipelineOutput | tuple[Any]:
        """Show the people of `source` in the poses of `pose`.

        Args:
            source: B photos of any size, or one for all; in any form of `Pictures`.
            texture: their texture maps in the SMPL layout, usually 512x512; as many.
            pose: B target IUV maps as they lie on disk, RGB = (V, U, I), of any size.
            face: [B, 512] face embeddings, a tensor or an array, or [1, 512], zeros where no face
                was found; none at all by default.
            source_pose: the IUV maps of `source` itself, each of its photo's size; with them a
                refiner looks closer than the texture map goes.
            height, width: of the pictures, in pixels, multiples of 8; by default the size the
                network was trained at.
            num_inference_steps: denoising steps; None: as saved with the weights.
            guidance_scale: s of classifier-free guidance, at least 1; 1 switches it off; None: as
                saved with the weights.
            guidance_interval: (low, high) of the timesteps that are guided, as shares of the noise
                schedule, 0 the clean picture and 1 noise; outside, a step costs half (arXiv
                2404.07724).
            cache_interval: steps that share the deep features of the denoising UNet (DeepCache,
                arXiv 2312.00858); all but the first of them run its outermost layers alone.
            eta: DDIM's noise between steps, 0..1.
            generator: where the starting noise comes from; one for all, or one a picture.
            latents: [B, C, height / 8, width / 8] starting noise instead of the generator's.
            output_type: "pil", "np" (float32 [B, H, W, 3] in 0..1), "pt" ([B, 3, H, W] in 0..1) or
                "latent" (the scaled latents, which `decode` turns into pictures).
            return_dict: return an MCLDPipelineOutput rather than a tuple.
            callback_on_step_end: called with (pipeline, step, timestep, {"latents": ...}) after
                every step; the latents it returns go on.

        Raises:
            InputError: the size is no multiple of 8 or too small for the network, the guidance
                scale is below 1, the numbers of pictures differ, one of them is none, the scheduler
                cannot sample this method, or the output type is unknown.
        """
        options = self.resolve_options(
            height,
            width,
            num_inference_steps,
            guidance_scale,
            guidance_interval=guidance_interval,
            cache_interval=cache_interval,
        )
        if departure := self.describe_departure(options):
            logger.warning(departure)
        maps = read_iuv_maps(pose, "pose")
        photos = read_photos(source, "source")
        atlas = None
        if source_pose is not None:
            own = read_iuv_maps(source_pose, "source_pose")
            if [photo.size for photo in photos] != [iuv.shape[1::-1] for iuv in own]:
                raise InputError("source_pose must be a map for each photo of source, of its size")
            if self.refiner is not None:
                laid = [lay_atlas(np.asarray(p), i) for p, i in zip(photos, own, strict=True)]
                atlas = _repeat(laid, len(maps))
        sources = _repeat(photos, len(maps))
        textures = _repeat(read_texture_maps(texture, "texture"), len(maps))
        faces = None if face is None else read_faces(face, len(maps))
        if isinstance(generator, list) and len(generator) != len(maps):
            raise InputError(f"give one generator, or as many as poses: not {len(generator)}")
        self.check_inputs(sources, textures, maps, faces, output_type)
        with self.progress_bar(total=options.num_inference_steps) as progress:

            def after_step(
                pipeline: "MCLDPipeline", step: int, timestep: int, state: dict[str, Tensor]
            ) -> dict[str, Tensor]:
                progress.update()
                called = callback_on_step_end
                return state if called is None else called(pipeline, step, timestep, state)

            size = options.height, options.width
            inputs = self.inputs(sources, textures, maps, faces, *size, atlas)
            conditions = self.conditions(inputs)
            noise = self.draw_noise(len(sources), options, generator, latents)
            latents = self.denoise(
                conditions,
                noise,
                options,
                eta=eta,
                generator=generator,
                callback_on_step_end=after_step,
            )
        images = latents
        if output_type != "latent":
            pictures = self.decode(latents, conditions)
            images = self.image_processor.postprocess(
                pictures, output_type, do_denormalize=[False] * len(pictures)
            )
        self.maybe_free_model_hooks()
        return MCLDPipelineOutput(images=images) if return_dict else (images,)

    @torch.no_grad()
    def denoise(
        self,
        conditions: FocalConditions,
        noise: Tensor,
        options: SamplingOptions,
        *,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        callback_on_step_end: StepCallback | None = None,
        focal: FocalContext | None = None,
    ) -> Tensor:
        """From noise to latents, [B, C, h, w] float32 both, in whatever dtype the network is.

        noise: of unit variance. options: steps and guidance count. focal: of one person whom all B
        show, as `network.encode` makes it. The other arguments are those of `__call__`. What the
        steps share is computed once. The scheduler is copied first, so that threads may call this
        at once.
        """
        network = self.network
        focal = network.encode(conditions) if focal is None else focal.expand(len(noise))
        pose_features = network.guide_pose(conditions, options.guidance_scale)
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(options.num_inference_steps, device=noise.device)
        known = inspect.signature(scheduler.step).parameters
        arguments = {"eta": eta, "generator": generator}
        arguments = {name: value for name, value in arguments.items() if name in known}
        latents = noise * float(scheduler.init_noise_sigma)
        low, high = (share * (TIMESTEPS - 1) for share in options.guidance_interval)
        deep, deep_scale = None, None
        for step, (timestep, at) in enumerate(
            zip(scheduler.timesteps, scheduler.timesteps.tolist(), strict=True)
        ):
            scaled = scheduler.scale_model_input(latents, timestep).to(pose_features.dtype)
            scale = options.guidance_scale if low <= at <= high else 1.0
            anew = step % options.cache_interval == 0 or scale != deep_scale
            if options.cache_interval > 1 and anew:
                deep, deep_scale = DeepFeatures(), scale
            prediction = network.predict_guided(scaled, timestep, pose_features, focal, scale, deep)
            if deep is not None and anew:
                deep.clone_in_place()
            latents = scheduler.step(prediction.float(), timestep, latents, **arguments).prev_sample
            if callback_on_step_end is not None:
                state = callback_on_step_end(self, step, timestep, {"latents": latents})
                latents = state.get("latents", latents)
        return latents

    def resolve_options(
        self,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        keep: str | None = None,
        guidance_interval: Sequence[float] = EVERYWHERE,
        cache_interval: int = 1,
        storage_dtype: str | None = None,
    ) -> SamplingOptions:
        """How pictures are sampled: as told, and where nothing is, as the weights were saved with.

        Scheduler and dtype are those that the pipeline has now. Raises InputError for a size that
        is no positive multiple of 8 or too small for the network, for steps, a guidance scale and a
        cache interval below 1, for a guidance interval that is none, and for a scheduler that
        cannot sample this method.
        """
        check_scheduler(self.scheduler)
        config, scheduler = self.config, self.scheduler
        steps = config.num_inference_steps if num_inference_steps is None else num_inference_steps
        scale = config.guidance_scale if guidance_scale is None else guidance_scale
        if not isinstance(steps, int):
            raise InputError(f"num_inference_steps {steps!r} is no whole number")
        if steps < 1:
            raise InputError(f"num_inference_steps {steps} is below 1")
        if steps > TIMESTEPS:
            raise InputError(f"num_inference_steps {steps} is above {TIMESTEPS}")
        if not scale >= 1:  # nor NaN
            raise InputError(f"guidance_scale {scale} is below 1, which is no guidance")
        try:
            low, high = (float(share) for share in guidance_interval)
        except (TypeError, ValueError):
            low = high = float("nan")
        if not 0 <= low <= high <= 1:
            raise InputError(
                f"guidance_interval {guidance_interval} is no interval: give two shares of the"
                " noise schedule, 0 to 1, the lower one first"
            )
        if not isinstance(cache_interval, int) or cache_interval < 1:
            raise InputError(f"cache_interval {cache_interval} is no whole number of at least 1")
        height, width = self.picture_size(height, width)
        return SamplingOptions(
            num_inference_steps=int(steps),
            guidance_scale=float(scale),
            height=height,
            width=width,
            dtype=str(self.denoising_unet.dtype).removeprefix("torch."),
            focal_conditions=list(config.focal_conditions),
            reference_input=config.reference_input,
            pose_resample=config.pose_resample,
            projector_heads=self.image_projector.config.heads,
            keep=config.keep if keep is None else keep,
            scheduler=type(scheduler).__name__,
            scheduler_config={
                name: value
                for name, value in sorted(scheduler.config.items())
                if not name.startswith("_")
            },
            guidance_interval=(float(low), float(high)),
            cache_interval=cache_interval,
            storage_dtype=storage_dtype,
        )

    def picture_size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """(height, width) in pixels, the trained size for what is None.

        Raises InputError for what is no positive multiple of 8.
        """
        trained = self.denoising_unet.config.sample_size
        trained = (trained, trained) if isinstance(trained, int) else trained
        size = tuple(
            side * SCALE_FACTOR if given is None else given
            for given, side in zip((height, width), trained, strict=True)
        )
        for name, pixels, side in zip(("height", "width"), size, trained, strict=True):
            if pixels <= 0 or pixels % SCALE_FACTOR:
                near = max(SCALE_FACTOR, round(pixels / SCALE_FACTOR) * SCALE_FACTOR)
                raise InputError(f"{name} {pixels} is not a multiple of {SCALE_FACTOR}: try {near}")
            # Each level of the UNets halves the latents: the deepest has a whole pixel, if it had.
            depth = len(self.denoising_unet.config.block_out_channels)
            least = SCALE_FACTOR * min(side, 2 ** (depth - 1))
            if pixels < least:
                raise InputError(f"{name} {pixels} is too small for this network: at least {least}")
        return size[0], size[1]

    def describe_departure(self, options: SamplingOptions) -> str | None:
        """What to know of options that a network of one step was not made for; None if nothing.

        Such a network works only as it was saved.
        """
        if self.config.num_inference_steps > 1:
            return None
        height, width = self.picture_size(None, None)
        saved = (height, width, 1, self.config.guidance_scale)
        asked = (
            *(options.height, options.width),
            *(options.num_inference_steps, options.guidance_scale),
        )
        if asked == saved:
            return None
        return (
            f"It was made for {height}x{width}, num_inference_steps=1,"
            f" guidance_scale={self.config.guidance_scale:g}: with other values its pictures are"
            " worse."
        )

    def check_inputs(
        self,
        source: list[Image.Image],
        texture: list[Image.Image],
        pose: list[NDArray[np.uint8]],
        face: NDArray[np.float32] | None,
        output_type: str,
    ) -> None:
        """Raise InputError for arguments of `__call__` that do not go together."""
        counts = {"source": len(source), "texture": len(texture), "pose": len(pose)}
        if len(set(counts.values())) > 1 or not source:
            raise InputError(f"give as many texture maps and poses as source photos, not {counts}")
        embedding_dim = self.image_projector.config.embedding_dim
        if face is not None and face.shape != (len(source), embedding_dim):
            raise InputError(
                f"face embeddings must be [{len(source)}, {embedding_dim}], not {list(face.shape)}"
            )
        if output_type not in ("pil", "np", "pt", "latent"):
            raise InputError(f"output_type {output_type!r} is none of pil, np, pt, latent")

    def draw_noise(
        self,
        count: int,
        options: SamplingOptions,
        generator: torch.Generator | list[torch.Generator] | None,
        latents: Tensor | None = None,
    ) -> Tensor:
        """[B, C, h, w] float32 starting noise of unit variance, drawn unless `latents` is given."""
        channels = self.denoising_unet.config.in_channels
        size = options.height // SCALE_FACTOR, options.width // SCALE_FACTOR
        shape = (count, channels, *size)
        device = self._execution_device
        if latents is None:
            latents = randn_tensor(shape, generator, device, torch.float32)
        elif latents.shape != shape:
            raise InputError(f"latents must be {list(shape)}, not {list(latents.shape)}")
        return latents.to(device, torch.float32)
