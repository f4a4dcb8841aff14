"""A recipe: trainings one after the other, each further from what came before.

config: mannequin.yaml         # beside the recipe: what all of them share
stages:
- train: {images: 66000}     # settings of one training, in their groups
- train: {images: 44000, seed: 2}
mannequin: {patches: 1}
adapt_decoder_images: 32000
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mcld.errors import InputError, SettingsError
from mcld.machine.yaml_file import read_yaml
from mcld.settings import Settings, known_settings, load_settings
from mcld.train.plan import check_folders, check_inputs, check_machine, check_start, checkpoints

ADAPTATION = "adapt_decoder_images"
STAGE_FILE = "stage.json"
"""What decided the weights of a finished stage, in its folder."""
_HARMLESS = (
    *("output", "start_from", "cache", "workers", "keep", "trackers", "compile"),
    *("checkpoint_every", "validate_every", "validation_pairs"),
    *("post_hoc_ema", "snapshot_every"),
)
"""Settings of `train` that leave the weights as they are."""


@dataclass(frozen=True)
class TrainStage:
    """One training of a recipe."""

    settings: Settings
    """With `train.output`, a folder in that of the recipe, and `train.start_from`."""
    adapt_decoder_images: int
    """Pictures, or crops for a refiner, on which a small autoencoder's decoder then learns from
    what the network samples; 0: none."""
    save_dtype: str
    """Precision of the result; before a decoder is adapted, weights are not rounded."""
    starts_from: str
    """The hash of the stages before."""

    @property
    def trained(self) -> Path:
        """The pipeline folder of the training."""
        return self.settings.train.output / "pipeline"

    @property
    def result(self) -> Path:
        """The pipeline folder that the next training starts from."""
        return self.settings.train.output / "adapted" if self.adapt_decoder_images else self.trained

    def record(self) -> dict[str, Any]:
        """What decides the weights of the result, as JSON has it."""
        groups = self.settings.model_dump(
            mode="json",
            include={"model", "mannequin", "scheduler", "train"},
            exclude={"train": set(_HARMLESS)},
        )
        settings = {
            f"{group}.{n}": v for group, fields in groups.items() for n, v in fields.items()
        }
        own = {"save_dtype": self.save_dtype, ADAPTATION: self.adapt_decoder_images}
        return {**settings, **own, "the stages before": self.starts_from}


def read_stages(recipe: Path, overrides: list[str]) -> list[TrainStage]:
    """The trainings of a YAML file; overrides: of the settings of all, as `load_settings` has them.

    Raises SettingsError for what is wrong with the file or the settings.
    """
    content = read_yaml(recipe, "--recipe")
    known = isinstance(content, dict) and content.keys() <= {"config", "stages"}
    entries = content.get("stages") if known else None
    if not isinstance(entries, list) or not entries:
        raise SettingsError(
            f"{recipe} must hold `stages:`, a list of trainings, and may hold a `config:`"
        )
    config = content.get("config")
    if config is not None and not isinstance(config, str):
        raise SettingsError(f"{recipe}: config cannot be {config!r}: give one file beside it")
    config = recipe.parent / config if config else None
    if config is not None and not config.is_file():
        raise SettingsError(f"{recipe}: its `config:` {config} is no file")
    stages: list[TrainStage] = []
    for number, entry in enumerate(entries, 1):
        stages.append(_read_stage(recipe, number, entry, config, overrides, stages))
    if len({stage.settings.train.precision for stage in stages}) > 1:
        raise SettingsError(f"{recipe}: train.precision must be the same in all stages")
    return stages


def _read_stage(
    recipe: Path,
    number: int,
    entry: Any,
    config: Path | None,
    overrides: list[str],
    before: list[TrainStage],
) -> TrainStage:
    where = f"{recipe}, stage {number}"
    if not isinstance(entry, dict):
        raise SettingsError(f"{where}: give settings in their groups, such as `train:`")
    _check_names(where, entry)
    groups = {name: fields for name, fields in entry.items() if name != ADAPTATION and fields}
    settings = load_settings(config, overrides, (where, groups))
    count = entry.get(ADAPTATION, "0")
    if not isinstance(count, str) or not count.isdecimal():
        raise SettingsError(f"{where}: {ADAPTATION} cannot be {count!r}: give a whole number")
    adapted, options = int(count), settings.train
    if adapted and options.pretrained and not options.start_from:
        raise SettingsError(
            f"{where}: {ADAPTATION} is for the small autoencoder of a new network: leave it out, or"
            " set train.pretrained to null"
        )
    changes: dict[str, Any] = {"output": options.output / str(number)}
    if before:
        changes["start_from"] = before[-1].result
    if adapted:
        changes["save_dtype"] = "float32"
    settings = settings.model_copy(update={"train": options.model_copy(update=changes)})
    earlier = json.dumps([stage.record() for stage in before]).encode()
    starts_from = hashlib.sha256(earlier).hexdigest()[:16]
    return TrainStage(settings, adapted, options.save_dtype, starts_from)


def _check_names(where: str, entry: dict[str, Any]) -> None:
    """Raise SettingsError for a name that is meant to be that of the adaptation."""
    settings = {key.rpartition(".")[2] for key in known_settings()}
    for key in _names(entry):
        name = key.rpartition(".")[2]
        nearest = get_close_matches(name, [ADAPTATION, *settings], 1)
        if key != ADAPTATION and nearest == [ADAPTATION]:
            raise SettingsError(
                f"{where}: there is no setting {key}; the nearest is {ADAPTATION}, which stands"
                " beside the groups"
            )


def _names(entry: dict[str, Any]) -> Iterator[str]:
    """What an entry holds, and what is in its groups, by dotted names."""
    for name, value in entry.items():
        yield name
        yield from (f"{name}.{inner}" for inner in (value if isinstance(value, dict) else ()))


def check_recipe(stages: list[TrainStage], processes: int) -> None:
    """Raise an MCLDError when the trainings that are left cannot be meant, or cannot be done here.

    processes: in which they will run.
    """
    check_folders(stages[0].settings.train, stages[0].settings.train.output.parent)
    for stage in stages:
        if is_finished(stage):
            continue
        options = stage.settings.train
        check_inputs(options)
        check_machine(options, processes)
        begun = bool(checkpoints(options.output))
        check_folders(options, options.output, resume=begun)
        if stage is stages[0] and not begun:
            check_start(options)


def is_finished(stage: TrainStage) -> bool:
    """Whether a stage's result is there. Raises SettingsError when it is that of another stage."""
    run = stage.settings.train.output
    try:
        earlier = json.loads((run / STAGE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise InputError(f"{run / STAGE_FILE} cannot be read: {error}; remove {run}") from error
    changed = [
        f"{n} {earlier.get(n)} -> {v}" for n, v in stage.record().items() if earlier.get(n) != v
    ]
    if changed:
        raise SettingsError(
            f"{run} was trained with other settings: {', '.join(changed)}; set them back, or remove"
            " it and the folders of the stages after it"
        )
    return stage.result.is_dir()
