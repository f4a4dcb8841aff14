"""A recipe: trainings one after the other, each further from what came before.

config: mannequin.yaml         # beside the recipe: what all of them share
stages:
- train: {images: 66000}     # settings of one training, in their groups
- train: {images: 44000, seed: 2}
mannequin: {patches: 1}
adapt_decoder_images: 32000
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld.errors import SettingsError
from mcld.machine.yaml_file import read_yaml
from mcld.settings import Settings, load_settings

ADAPTATION = "adapt_decoder_images"


@dataclass(frozen=True)
class TrainStage:
    """One training of a recipe."""

    settings: Settings
    """With `train.output`, a folder in that of the recipe, and `train.start_from`."""
    adapt_decoder_images: int
    """Pictures, or crops for a refiner, on which a small autoencoder's decoder then learns from
    what the network samples; 0: none."""

    @property
    def trained(self) -> Path:
        """The pipeline folder of the training."""
        return self.settings.train.output / "pipeline"

    @property
    def result(self) -> Path:
        """The pipeline folder that the next training starts from."""
        return self.settings.train.output / "adapted" if self.adapt_decoder_images else self.trained


def read_stages(recipe: Path, overrides: list[str]) -> list[TrainStage]:
    """The trainings of a YAML file; overrides: of the settings of all, as `load_settings` has them.

    Raises SettingsError for what is wrong with the file or the settings.
    """
    content = read_yaml(recipe, "--recipe")
    known = isinstance(content, dict) and content.keys() <= {"config", "stages"}
    entries = content.get("stages") if known else None
    if not isinstance(entries, list) or not entries:
        raise SettingsError(
            f"{recipe} must hold `stages:`, a list of trainings, and may a `config:`"
        )
    config = recipe.parent / content["config"] if content.get("config") else None
    stages: list[TrainStage] = []
    for number, entry in enumerate(entries, 1):
        where = f"{recipe}, stage {number}"
        if not isinstance(entry, dict):
            raise SettingsError(f"{where}: give settings in their groups, such as `train:`")
        groups = {name: fields for name, fields in entry.items() if name != ADAPTATION}
        settings = load_settings(config, overrides, (where, groups))
        changes: dict[str, Any] = {"output": settings.train.output / str(number)}
        if stages:
            changes["start_from"] = stages[-1].result
        settings = settings.model_copy(update={"train": settings.train.model_copy(update=changes)})
        stages.append(TrainStage(settings, _read_count(entry.get(ADAPTATION, "0"), where)))
    return stages


def _read_count(text: Any, where: str) -> int:
    if not isinstance(text, str) or not text.isdecimal():
        raise SettingsError(f"{where}: {ADAPTATION} cannot be {text!r}: give a whole number")
    return int(text)
