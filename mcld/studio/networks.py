"""Networks and readers that stay loaded while the studio runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from mcld.errors import MCLDError, SettingsError
from mcld.machine.processes import ignore
from mcld.machine.signing import open_signer
from mcld.networks.places import check_weights, find_folder
from mcld.person.reader import PersonReader
from mcld.sampling.device import choose_device
from mcld.sampling.open import LoadedNetwork, OpenPipeline, load_network, place_network
from mcld.settings import Override, Settings, load_settings
from mcld.studio.requests import SamplingRequest
from mcld.weights.catalogue import catalogue

EMBEDDED = "embedded"
_NOTE = "Small, and trained on generated people: it works in one step, which it is best left at."


@dataclass(frozen=True)
class Weights:
    """A network that the page may choose."""

    id: str
    label: str
    folder: Path | None
    """As `open_pipeline` has it."""
    note: str = ""
    """What to know of it."""


class Networks:
    """The settings, and one network and the readers of people, kept loaded.

    Networks are of one thread, readers of any.

    Args:
        config, overrides: as `load_settings` has them; what the page chooses comes on top.
        weights: folders of networks to choose among, the first of them the default; what else is
            on this machine is added.

    Raises SettingsError for settings that cannot be, WeightsError for a folder without a network,
    and what `open_signer` raises.
    """

    def __init__(
        self,
        config: Path | None,
        overrides: Sequence[str | Override],
        weights: Sequence[Path],
    ) -> None:
        self._config, self._overrides = config, tuple(overrides)
        self.settings = load_settings(config, self._overrides)
        self.threads = self.settings.sample.threads or torch.get_num_threads()
        self.device = choose_device(self.settings.sample)
        sample = self.settings.sample
        open_signer(sample.c2pa_certificate, sample.c2pa_key)  # which refuses what cannot sign
        self.weights = {one.id: one for one in _find_weights(self.settings, weights)}
        self._loaded: tuple[Path | None, LoadedNetwork] | None = None
        self._readers: dict[Any, PersonReader] = {}
        self._reading = Lock()

    def choose(self, request: SamplingRequest, *, fit_body: bool = False) -> Settings:
        """The settings of a request. Raises SettingsError for what cannot be set."""
        chosen = {
            "--steps": ("sample.num_inference_steps", request.steps),
            "--guidance": ("sample.guidance_scale", request.guidance),
            "--scheduler": ("sample.scheduler", request.scheduler),
            "--fit-body": ("prepare.fit_body", fit_body or None),
        }
        given = [
            Override(name, *setting) for name, setting in chosen.items() if setting[1] is not None
        ]
        return load_settings(self._config, [*self._overrides, *given])

    def find(self, request: SamplingRequest) -> Weights:
        """The weights of a request. Raises SettingsError for others than there are."""
        if request.weights not in self.weights:
            raise SettingsError(
                f"there are no weights {request.weights}: there are {', '.join(self.weights)}"
            )
        return self.weights[request.weights]

    def holds(self, weights: Path | None) -> bool:
        """Whether a network is loaded."""
        return self._loaded is not None and self._loaded[0] == weights

    def open(
        self,
        weights: Path | None,
        settings: Settings,
        device: torch.device,
        say: Callable[[str], None],
    ) -> OpenPipeline:
        """`open_pipeline`, without loading the network again that is open."""
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = None  # before the next one takes its memory
            self._loaded = weights, load_network(weights, settings, ignore)
        return place_network(self._loaded[1], settings, device, say)

    def reader(self, settings: Settings, embedder: str, say: Callable[[str], None]) -> PersonReader:
        """A reader of people, whose estimators stay loaded."""
        key = settings.prepare, embedder
        with self._reading:
            if key not in self._readers:
                place = "cpu" if settings.sample.low_memory else str(self.device)
                reader = PersonReader(settings.prepare, place, ignore, embedder)
                with suppress(MCLDError):  # told by whoever needs what cannot be here
                    _ = reader.pose_estimator, reader.face_embedder
                self._readers[key] = reader
            return self._readers[key].listen(say)


def _find_weights(settings: Settings, given: Sequence[Path]) -> list[Weights]:
    """Every network on this machine, the default first."""
    folders = [find_folder(weights, settings) for weights in given]
    for folder in folders:
        check_weights(folder)
    found = [
        Weights(str(k), _label(weights) if weights == folder else str(weights), folder)
        for k, (weights, folder) in enumerate(zip(given, folders, strict=True), 1)
    ]
    found.append(Weights(EMBEDDED, "Embedded network", None, _NOTE))
    authors = next(item for item in catalogue(settings) if item.name == "mcld")
    if authors.is_present():
        found.append(Weights("mcld", "The paper's network", authors.folder))
    trained = settings.train.output / "pipeline"
    if (trained / "model_index.json").is_file() and trained not in given:
        found.append(Weights("trained", _label(trained), trained))
    return found


def _label(folder: Path) -> str:
    """What people call a folder of weights."""
    named = folder if folder.name not in ("pipeline", "weights") else folder.parent
    return f"{named.name or folder} ({folder})"
