"""Typed settings: defaults < YAML file < MCLD_* environment < command line.

The defaults are the paper's; the small network that comes with mcld has a group of its own.
A new setting is one field here: its description, its limits, and everything said when it is given
wrongly follow from the field.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from mcld.errors import SettingsError
from mcld.machine.files import expand_home
from mcld.machine.processes import is_main
from mcld.machine.yaml_file import NULL, parse_yaml, read_yaml

NARROWEST, WIDEST = 0.01, 0.28
"""Relative widths that an average of a run can have; one of all steps alike has 0.2887."""
_Share = Annotated[float, Field(ge=0, le=1)]
_PREFIX = "MCLD_"
_DELIMITER = "__"


class SettingsGroup(BaseModel):
    """Fields that know no others and do not change; of paths, ~ is the home folder."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

    @field_validator("*")
    @classmethod
    def _expand_home(cls, value: Any) -> Any:
        return expand_home(value) if isinstance(value, Path) else value


class ModelSettings(SettingsGroup):
    """What a network is, as far as pretrained weights leave it open."""

    focal_conditions: tuple[Literal["source", "texture", "face"], ...] = Field(
        ("source", "texture", "face"),
        description="Which conditions the network gets; zeros stand in for the others.",
    )
    reference_input: Literal["texture", "source"] = Field(
        "texture", description="What ReferenceNet sees."
    )
    projector_dim: PositiveInt = Field(1280, description="Width of the image projector.")
    projector_depth: PositiveInt = Field(4, description="Layers of the image projector.")
    projector_heads: PositiveInt = Field(20, description="Heads of the image projector.")


class MannequinSettings(SettingsGroup):
    """The small network of the mannequin world, which `train.pretrained=null` makes anew."""

    block_out_channels: tuple[PositiveInt, ...] = Field(
        (64, 112), min_length=1, description="Width of the UNets at each resolution."
    )
    layers_per_block: PositiveInt = Field(1, description="Residual blocks at each resolution.")
    attention_heads: PositiveInt = Field(4, description="Heads of the UNets' attention.")
    norm_num_groups: PositiveInt = Field(16, description="Groups of the UNets' group norms.")
    cross_attention_dim: PositiveInt = Field(
        64, description="Width of embeddings and face tokens, D."
    )
    latent_channels: int = Field(
        24, ge=1, le=192, description="Principal components the autoencoder keeps of 8x8 pixels."
    )
    decoder_channels: PositiveInt = Field(
        80, description="Width of the convolutions in the autoencoder's decoder."
    )
    decoder_images: PositiveInt = Field(
        60_000, description="Pictures the autoencoder's decoder sees before it is frozen."
    )
    pose_channels: tuple[PositiveInt, ...] = Field(
        (12, 24, 48, 64),
        min_length=4,
        max_length=4,
        description="Width of the pose guider at each resolution.",
    )
    pose_input: Literal["iuv", "textured"] = Field(
        "iuv",
        description="What the pose guider of any network sees: the IUV map, or that and the"
        " texture map warped onto it.",
    )
    refiner_channels: tuple[PositiveInt, ...] = Field(
        (24, 28),
        min_length=1,
        description="Width of what refines a textured network's pictures, at a half, a quarter, ..."
        " of their size.",
    )
    refiner_scale: PositiveInt = Field(
        1, description="By how much the refiner enlarges the network's pictures."
    )
    image_encoder_size: int = Field(
        64, ge=8, multiple_of=8, description="The image encoder's pictures are this wide and high."
    )
    image_encoder_width: PositiveInt = Field(96, description="Width of the image encoder.")
    image_encoder_layers: PositiveInt = Field(3, description="Layers of the image encoder.")
    image_encoder_images: PositiveInt = Field(
        24_000, description="Pictures the image encoder sees before it is frozen."
    )
    patches: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of training samples whose person wears random patches, from which a"
        " small network learns to look colours up in the texture map.",
    )


class SchedulerSettings(SettingsGroup):
    """The noise schedule; v-prediction and zero terminal SNR are the method's own."""

    beta_schedule: Literal["linear", "scaled_linear"] = Field(
        "linear", description="How betas grow when sampling; the released sampler uses linear."
    )
    train_beta_schedule: Literal["linear", "scaled_linear"] = Field(
        "scaled_linear", description="How betas grow when training."
    )
    beta_start: float = Field(0.00085, gt=0, lt=1, description="The first beta.")
    beta_end: float = Field(0.012, gt=0, lt=1, description="The last beta.")


class SampleSettings(SettingsGroup):
    """How pictures are made."""

    dataset: Path = Field(
        Path("dataset/fashion"), description="The prepared dataset whose split is sampled."
    )
    num_inference_steps: int | None = Field(
        None, ge=1, le=1000, description="Denoising steps; null: the weights' own."
    )
    guidance_scale: float | None = Field(
        None,
        ge=1,
        description="How far to follow the conditions, 1 for no guidance; null: the weights' own.",
    )
    guidance_interval: tuple[_Share, _Share] = Field(
        (0.0, 1.0),
        description="From which to which timesteps guidance applies, as shares of the noise"
        " schedule: 0 is the clean picture, 1 is noise. A step outside takes half the time.",
    )

    @field_validator("guidance_interval")
    @classmethod
    def _order_interval(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("give the lower share of the noise schedule first")
        return value

    cache_interval: PositiveInt = Field(
        1,
        description="Steps that share the deep features of the denoising UNet (DeepCache); 1: none"
        " do. A step that finds them takes a fraction of the time.",
    )
    pretrained: Path = Field(
        Path("pretrained_weights"),
        description="Folder of Stable Diffusion and its companions, for weights that come as four"
        " files without encoders.",
    )
    scheduler: Literal["ddim", "dpm++", "unipc", "euler"] | None = Field(
        None, description="How the steps are taken; null: the weights' own."
    )
    fast: bool = Field(
        False,
        description="Where more steps are asked for, take 10 of unipc: half the time of 20.",
    )
    keep: Literal["background", "nothing"] | None = Field(
        None,
        description="What of the source's photo stays in a new pose: what lies behind the person,"
        " or nothing; null: the weights' own.",
    )
    c2pa_certificate: Path | None = Field(
        None,
        description="PEM file of the certificate in whose name pictures are signed (C2PA), with the"
        " chain of those that vouch for it; null: pictures are not signed.",
    )
    c2pa_key: Path | None = Field(
        None, description="PEM file of that certificate's private key, without a password."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the starting noise.")
    engine: Literal["onnx", "torch"] | None = Field(
        None,
        description="What runs the network that paints one picture; null: ONNX Runtime, on the CPU,"
        " where it can, which takes seconds less to start.",
    )
    device: str | None = Field(
        None, description="Such as cuda:1, mps or cpu; null: a GPU where there is one."
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None,
        description="Precision of the networks; null: bfloat16 on a GPU, float32 on Apple's and on"
        " a CPU.",
    )
    compile: bool = Field(
        False, description="Compile the network before sampling; pays off over many pictures."
    )
    compile_mode: Literal["default", "regional", "reduce-overhead", "max-autotune"] = Field(
        "default",
        description="How sample.compile compiles: each network whole (the denoising UNet in a mode"
        " of torch.compile), or, regional, the UNet's transformer blocks alone, which takes a"
        " fraction of the time. With sample.low_memory it is always regional.",
    )
    low_memory: bool = Field(
        False, description="Bring each network to the GPU only when it is needed; slower."
    )
    storage_dtype: Literal["float8"] | None = Field(
        None,
        description="Keep the UNets' weights in 8 bits, and cast each layer's when it is run: half"
        " the memory of bfloat16; null: in sample.dtype.",
    )
    fuse_qkv: bool = Field(
        False,
        description="Join the weights of queries, keys and values of self-attention: one product"
        " in place of three.",
    )
    tf32: bool = Field(
        False, description="On a GPU, multiply float32 matrices in TF32: faster, 3 digits."
    )
    batch_size: PositiveInt = Field(
        8, description="Pictures sampled at once, of a split or a recipe."
    )
    threads: PositiveInt | None = Field(
        None,
        description="Threads that compute one picture on a CPU, which its last digits depend on;"
        " null: of many pictures one each, of a single picture all.",
    )
    workers: PositiveInt = Field(4, description="Threads that read and write pictures, of many.")
    height: int | None = Field(
        None,
        ge=8,
        le=4096,
        multiple_of=8,
        description="Height the network works at, in pixels; null: the height it was trained at.",
    )
    width: int | None = Field(
        None,
        ge=8,
        le=4096,
        multiple_of=8,
        description="Width the network works at, in pixels; null: the width it was trained at.",
    )


class EditSettings(SettingsGroup):
    """How pictures are edited; how they are sampled is said by `sample`."""

    strength: float | None = Field(
        None,
        ge=0,
        le=1,
        description="In the photo's own pose, the network's share in the picture, 0 to 1; the rest"
        " is the photo with the edited texture warped onto it; null: the weights' own.",
    )


class EvaluateSettings(SettingsGroup):
    """How pictures are scored."""

    dataset: Path = Field(
        Path("dataset/fashion"), description="The prepared dataset whose test pairs are scored."
    )
    metrics: tuple[str, ...] = Field(
        ("psnr", "ssim", "ssim_256", "lpips", "fid", "face"),
        min_length=1,
        description="What is measured; [all]: all metrics that there are.",
    )
    device: str | None = Field(
        None,
        description="Of LPIPS and FID, such as cuda:1, mps or cpu; null: a GPU where there is one.",
    )
    # On a CPU 16 take a tenth longer: what is between layers no longer fits memory that is at hand.
    batch_size: PositiveInt = Field(8, description="Pictures that LPIPS and FID see at once.")
    workers: PositiveInt = Field(4, description="Threads that read, resize and compare pictures.")


class TrainSettings(SettingsGroup):
    """How the network is trained."""

    dataset: Path = Field(Path("dataset/fashion"), description="The prepared dataset.")
    cache: Path | None = Field(
        None,
        description="Folder for what the encoders make of the pictures; null: cache, in the"
        " dataset. Runs with the same encoders share it.",
    )
    output: Path = Field(
        Path("runs/deepfashion"), description="Checkpoints and the finished pipeline go here."
    )
    pretrained: Path | None = Field(
        Path("pretrained_weights"),
        description="Folder of Stable Diffusion and its companions, to start from them; null: a"
        " new small network, of `mannequin`'s widths.",
    )
    start_from: Path | None = Field(
        None,
        description="Pipeline folder whose network is trained further, its encoders kept;"
        " null: train.pretrained, or a new small network.",
    )
    images: PositiveInt = Field(
        1_440_000, description="Pictures to see before training ends (the paper: 60,000 x 24)."
    )
    batch_size: PositiveInt = Field(12, description="Pairs per device and forward pass.")
    accumulation: PositiveInt = Field(
        1, description="Forward passes per step, for larger batches than memory holds."
    )
    height: int = Field(
        512, ge=8, le=4096, multiple_of=8, description="Pictures are resized to this height."
    )
    width: int = Field(
        512, ge=8, le=4096, multiple_of=8, description="Pictures are resized to this width."
    )
    learning_rate: float = Field(1e-5, gt=0, le=1, description="AdamW's learning rate.")
    lr_warmup_images: NonNegativeInt = Field(
        0, description="Pictures over which the learning rate rises from zero."
    )
    lr_schedule: Literal["constant", "cosine"] = Field(
        "constant", description="Whether the learning rate then stays or falls to zero."
    )
    optimizer: Literal["adamw", "adamw8bit"] = Field(
        "adamw",
        description="adamw8bit keeps AdamW's moments in 8 bits, a quarter of the memory; it needs"
        " the package bitsandbytes.",
    )
    weight_decay: float = Field(1e-2, ge=0, le=1, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    min_snr_gamma: float = Field(5.0, gt=0, description="Cap of the min-SNR loss weights.")
    noise_offset: float = Field(
        0.05, ge=0, le=1, description="Share of noise that is one number per sample and channel."
    )
    views: int = Field(
        1,
        ge=1,
        le=4,
        description="The texture map of each pair's source is gathered from 1 to so many pictures"
        " of the person, the target never among them; which, names tell.",
    )
    face_loss_weight: float = Field(
        1.0, ge=0, description="How much the loss on the face counts, beside that on everything."
    )
    correspondence: float = Field(
        0.0,
        ge=0,
        description="Weight of a loss on where attention looks in the texture map, of which the IUV"
        " map tells the truth (Leffa, 2412.08486, whose weight is 1e-3); 0: none.",
    )
    drop_rate: float = Field(
        0.1, ge=0, lt=1, description="Share of samples whose conditions are dropped, for guidance."
    )
    timestep_shift: float = Field(
        1.0,
        ge=0.01,
        le=100,
        description="Above 1 moves the drawn timesteps towards the noisy end, below 1 towards the"
        " clean one (Esser et al., 2403.03206, equation 23); 1 is the paper's uniform draw.",
    )
    source_noise: float = Field(
        0.05,
        ge=0,
        description="Noise on source embeddings, in their standard deviations over the dataset.",
    )
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="How slowly the averaged weights follow; 0: not averaged."
    )
    post_hoc_ema: tuple[Annotated[float, Field(ge=NARROWEST, le=WIDEST)], ...] = Field(
        (),
        description="Relative widths of averages of which snapshots are taken, such as [0.05, 0.1],"
        " for `mcld weights average` (Karras et al., 2312.02696, section 3); none: no snapshots.",
    )
    snapshot_every: PositiveInt = Field(
        96_000, description="Pictures seen between two snapshots of these; all are kept."
    )
    precision: Literal["no", "bf16", "fp16"] = Field(
        "no", description="Mixed precision; no: float32 throughout."
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Compute activations again in the backward pass instead of keeping them: less"
        " memory, more time.",
    )
    compile: bool = Field(False, description="Compile the network before training.")
    workers: NonNegativeInt = Field(2, description="Processes that load pictures; 0: none.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of everything random in training.")
    checkpoint_every: PositiveInt = Field(
        24_000, description="Pictures seen between two checkpoints."
    )
    validate_every: NonNegativeInt = Field(
        24_000, description="Pictures seen between two validation sheets; 0: none."
    )
    validation_pairs: PositiveInt = Field(
        4, description="Pairs of the test split on a validation sheet."
    )
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="Where losses and validation sheets are logged to."
    )
    frozen: tuple[str, ...] = Field(
        ("reference_unet.up_blocks.3.",),
        description="Beginnings of the names of weights that are not trained.",
    )
    save_dtype: Literal["float32", "float16"] = Field(
        "float32", description="Precision of the weights in the finished pipeline folder."
    )
    keep: PositiveInt = Field(2, description="Checkpoints to keep; older ones are removed.")


class PrepareSettings(SettingsGroup):
    """How datasets are made."""

    seed: NonNegativeInt = Field(0, description="Which mannequins: same seed, same bytes.")
    pictures: int = Field(8, ge=2, description="Pictures of each mannequin.")
    maps: Literal["noisy", "exact"] = Field(
        "noisy",
        description="What the maps of mannequins in the style people are that are to be trained on:"
        " in part as estimators make them, or exact.",
    )
    height: int = Field(256, ge=16, description="Height of a mannequin's pictures, pixels.")
    width: int = Field(176, ge=16, description="Width of a mannequin's pictures, pixels.")
    style: Literal["people", "dolls"] = Field(
        "people",
        description="What mannequins look like: people as photos show them, or dolls with large"
        " heads, whole before a plain ground.",
    )
    workers: PositiveInt = Field(2, description="Processes that work at once.")
    pose_estimator: Literal["auto", "densepose", "embedded", "detectron2", "precomputed"] = Field(
        "auto",
        description="Where a photo's IUV map comes from; auto: DensePose where its weights are,"
        " and for DeepFashion, else the embedded reader of bodies; detectron2: DensePose by its"
        " authors' code; precomputed: it is there already.",
    )
    densepose_weights: Path = Field(
        Path("pretrained_weights/model_final_844d15.pkl"),
        description="Weights of DensePose R_101_FPN_DL_s1x, as published or converted.",
    )
    person: Literal["confident", "largest"] | PositiveInt = Field(
        "confident",
        description="Who counts where a photo shows several people: the one found most surely (to"
        " the embedded reader: the largest), the largest, or one by number, such as 2.",
    )
    body_turn: float = Field(
        0.0,
        ge=-360,
        le=360,
        description="Degrees that a body of parameters is turned by, its right side forwards.",
    )
    body_pitch: float = Field(
        0.0, ge=-90, le=90, description="Degrees that the camera looks down on it by."
    )
    body_betas: tuple[Annotated[float, Field(ge=-5, le=5)], ...] = Field(
        (),
        max_length=10,
        description="Its SMPL-X shape coefficients; none: as its file has them.",
    )
    fit_body: bool = Field(
        False,
        description="Keep the source's proportions in a target pose: its body is fitted and drawn"
        " anew with the source's lengths and girths.",
    )
    commercial: bool = Field(
        False,
        description="Refuse weights and data that may not be used commercially, or of which that"
        " is unclear: docs/licences.md.",
    )
    face_pack: str = Field("antelopev2", description="The insightface pack that embeds faces.")
    insightface_root: Path = Field(
        Path("~/.insightface"), description="Folder whose models/ holds insightface's packs."
    )


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        del field_name, field
        return parse_yaml(value)


class Settings(BaseSettings):
    """All settings. Immutable; `load_settings` makes one from every source."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_DELIMITER,
        env_parse_none_str=NULL,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, then the environment, whose values are YAML as those of --set are."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _Environment(settings_cls)

    model: ModelSettings = ModelSettings()
    mannequin: MannequinSettings = MannequinSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    sample: SampleSettings = SampleSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    edit: EditSettings = EditSettings()
    train: TrainSettings = TrainSettings()
    prepare: PrepareSettings = PrepareSettings()


class Override(NamedTuple):
    """A setting that an option of a command's own changes."""

    option: str
    """Such as --steps, by which messages call it."""
    key: str
    """Dotted, such as sample.num_inference_steps."""
    value: Any
    """As it is, not as YAML has it."""


def load_settings(
    config: Path | None = None,
    overrides: Sequence[str | Override] | None = None,
    stage: tuple[str, dict[str, Any]] | None = None,
) -> Settings:
    """The settings of `trace_settings`, without where they come from. Raises as that does."""
    return trace_settings(config, overrides, stage)[0]


def trace_settings(
    config: Path | None = None,
    overrides: Sequence[str | Override] | None = None,
    stage: tuple[str, dict[str, Any]] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """Settings from the defaults, then a YAML file, then MCLD_* variables, then `overrides`.

    Beside them, by its dotted key, where each value comes from that is not left at its default: the
    path of the file, the stage, the environment variable's name or "the command line".

    config: a YAML file of groups (`train: {learning_rate: 2e-5}`), or None. overrides: such as
    'train.learning_rate=2e-5'; a value is YAML flow style ('[1, 2]', 'null', 'true'); options of a
    command's own come after them. stage: of a recipe of trainings, what messages call it and its
    groups, which are laid over the file's.

    Raises SettingsError, in one line, for a source that cannot be read, an unknown key (with the
    nearest known one), a value of the wrong type and an impossible value.
    """
    given: dict[str, dict[str, Any]] = {group: {} for group in _GROUPS}
    origins: dict[str, str] = {}
    for origin, values in (
        (str(config), _read_file(config) if config else {}),
        stage or ("", {}),
        (_ENVIRONMENT, _read_environment()),
        ("the command line", _parse_overrides([o for o in overrides or [] if isinstance(o, str)])),
        *((o.option, {o.key: o.value}) for o in overrides or [] if isinstance(o, Override)),
    ):
        for key, value in _flatten(values):
            if key not in _FIELDS:
                raise SettingsError(_describe_unknown(key, origin))
            origins[key] = _name_variable(key) if origin == _ENVIRONMENT else origin
            group, _, name = key.partition(".")
            given[group][name] = value
    try:
        return Settings(**given), origins  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_describe_invalid(error, origins)) from error


_ENVIRONMENT = "the environment"


def _name_variable(key: str) -> str:
    """The environment variable that set a key, alone or as one of its group."""
    name = (_PREFIX + key.replace(".", _DELIMITER)).upper()
    group = (_PREFIX + key.partition(".")[0]).upper()
    found = {given.upper(): given for given in os.environ}
    return f"the environment variable {found.get(name) or found.get(group) or name}"


def known_settings() -> dict[str, FieldInfo]:
    """Every setting's field by its dotted key, such as 'train.learning_rate'."""
    return dict(_FIELDS)


def find_settings(name: str) -> dict[str, FieldInfo]:
    """The fields of a group, such as 'train', or the one of a dotted key, by their dotted keys.

    Raises SettingsError, which names the nearest setting, when there is neither.
    """
    found = {key: field for key, field in _FIELDS.items() if name in (key, key.partition(".")[0])}
    if not found:
        raise SettingsError(_describe_unknown(name, "mcld settings"))
    return found


def _read_file(config: Path) -> dict[str, Any]:
    values = read_yaml(config, "--config")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{config}: must hold groups of settings, such as `train:`")
    for group, fields in list(values.items()):
        if fields is None:  # a group whose lines are all commented out
            del values[group]
    return values


def _read_environment() -> dict[str, Any]:
    """The values of MCLD_* variables, nested in their groups.

    Names without "__" may be another program's: Kubernetes sets MCLD_PORT for a service called
    mcld. They are said in a line, and left alone.
    """
    for name, text in os.environ.items():
        if not name.upper().startswith(_PREFIX):
            continue
        key = name[len(_PREFIX) :].lower().replace(_DELIMITER, ".")
        if key in _FIELDS or key in _GROUPS:
            try:
                parse_yaml(text)
            except yaml.YAMLError as error:
                raise SettingsError(
                    f"the environment variable {name}: the value {text!r} cannot be read"
                ) from error
        elif _DELIMITER in name:
            raise SettingsError(_describe_unknown(key, f"the environment variable {name}"))
        elif is_main():
            told = _describe_unknown(key, f"the environment variable {name}")
            _log.warning("%s; it is left alone", told)
    return _Environment(Settings)()


_log = logging.getLogger("mcld")


def _parse_overrides(overrides: list[str]) -> dict[str, Any]:
    """The values by their dotted keys."""
    values: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            raise SettingsError(
                f"--set {override!r}: give KEY=VALUE, such as train.learning_rate=2e-5"
            )
        if key not in _FIELDS:
            raise SettingsError(_describe_unknown(key, "the command line"))
        try:
            values[key] = parse_yaml(text) if text.strip() else ""
        except yaml.YAMLError as error:
            raise SettingsError(f"--set {override!r}: the value cannot be read") from error
    return values


def _flatten(values: dict[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values by their dotted keys; what stands where a group should has a key itself."""
    for name, value in values.items():
        key = f"{group}{name}"
        if isinstance(value, dict) and key not in _FIELDS and (value or key in _GROUPS):
            yield from _flatten(value, f"{key}.")
        else:
            yield key, value


def _describe_unknown(key: str, origin: str) -> str:
    if key in _GROUPS:
        inside = ", ".join(k.removeprefix(f"{key}.") for k in _FIELDS if k.startswith(f"{key}."))
        return f"{origin}: {key} is a group; name a setting in it: {inside}"

    def likeness(known: str) -> tuple[float, float]:
        # Right name in no or the wrong group counts nearly as much as the whole key.
        whole = SequenceMatcher(None, key, known).ratio()
        name = SequenceMatcher(None, key.rpartition(".")[2], known.rpartition(".")[2]).ratio()
        return max(whole, 0.95 * name), whole

    known = (*_FIELDS, *_GROUPS)
    shown = key if key.isprintable() else repr(key)
    nearest = max(known, key=likeness)
    hint = f"the nearest is {nearest}" if likeness(nearest)[0] > _ALIKE else "see `mcld settings`"
    return f"{origin}: there is no setting {shown}; {hint}"


_ALIKE = 0.6
"""How like a known setting a name must be for that to be what was meant."""


def _describe_invalid(error: ValidationError, origins: dict[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    group, name, *_ = first["loc"]
    key = f"{group}.{name}"
    allowed, origin = describe_allowed(_FIELDS[key]), origins[key]
    if origin.startswith("--"):
        return f"{origin} {first['input']}: give {allowed.removesuffix(f' or {NULL}')}"
    own = first["type"] == "value_error"  # of a validator here, which says what to give
    remedy = str(first["ctx"]["error"]) if own else f"give {allowed}"
    return f"{key} cannot be {first['input']!r} (from {origin}): {remedy}"


def describe_allowed(field: FieldInfo) -> str:
    """What a setting takes, in words: 'a whole number from 0'."""
    nothing = [NULL] if type(None) in get_args(field.annotation) else []
    return " or ".join([_describe_kind(field.annotation, field.metadata), *nothing])


def _describe_kind(annotation: Any, limits: Sequence[Any] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [m for given in arguments[1:] for m in getattr(given, "metadata", [given])]
        return _describe_kind(arguments[0], inner)
    if origin in (Union, UnionType):
        kinds = [a for a in arguments if a is not type(None)]
        return " or ".join(_describe_kind(kind, limits) for kind in kinds)
    within = " and ".join(_LIMITS[kind].format(m) for m in limits if (kind := type(m)) in _LIMITS)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in arguments)
    if origin in (list, tuple):
        pair = origin is tuple and Ellipsis not in arguments
        many = f"a {'pair' if pair else 'list'} [a, b] {within}".strip()
        return f"{many}, each {_describe_kind(arguments[0])}"
    names = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
    return f"{names.get(annotation, 'a text')} {within}".strip()


_LIMITS = {
    Gt: "above {0.gt}",
    Ge: "from {0.ge}",
    Lt: "below {0.lt}",
    Le: "up to {0.le}",
    MultipleOf: "divisible by {0.multiple_of}",
    MinLen: "of at least {0.min_length}",
    MaxLen: "of at most {0.max_length}",
}
_GROUPS = Settings.model_fields
_FIELDS = {
    f"{name}.{inner}": field
    for name, group in _GROUPS.items()
    for inner, field in type(group.default).model_fields.items()
}
