"""Networks on the Hugging Face hub, and what its errors say in one line.

The hub is asked through its own library: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE and the
proxies' variables count.
"""

import logging
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from mcld.errors import MCLDError, WeightsError

_FILES = ("*.json", "*.safetensors", "*.pth", "*.bin")
"""Of a repository, what a network is read from; no code."""
_VARIANTS = ("*.fp16.*", "*.bf16.*", "*.non_ema.*")
"""Of these, what is there a second time."""
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"


def is_hub_id(weights: Path) -> bool:
    """Whether a folder that is not there may be a repository's id: org/name."""
    return re.fullmatch(f"{_NAME}/{_NAME}", weights.as_posix()) is not None


def find_network(weights: Path) -> Path:
    """The folder of a network: `weights`, or the hub's library's, into which it is downloaded.

    weights: a folder, which wins where there is one, or a repository's id on the hub.

    Raises WeightsError, with what to do, for what is neither, and where the hub cannot be reached
    and its library keeps no whole copy; MCLDError when that cannot be written.
    """
    return _download(weights.as_posix()) if not weights.exists() and is_hub_id(weights) else weights


@cache  # so that a run that asks twice gets the same
def _download(repository: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils import logging as hub_logging
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        """Where somebody looks; elsewhere none."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "disable": None})

    hub_logging.set_verbosity(logging.ERROR)
    try:
        folder = snapshot_download(
            repository,
            allow_patterns=list(_FILES),
            ignore_patterns=list(_VARIANTS),
            tqdm_class=Bar,
        )
        return Path(folder)
    except Exception as error:
        remedy = f"give a folder that is here, as {repository} is not"
        raise explain_hub_error(repository, error, Path(constants.HF_HUB_CACHE), remedy) from error


def explain_hub_error(
    repository: str, error: Exception, folder: Path, remedy: str = ""
) -> Exception:
    """An error of the hub's library in one line that says what to do.

    folder: that was written to. remedy: what else can be done where the hub cannot be reached.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    reason = " ".join(str(error).split())
    also = f", or {remedy}" if remedy else ""
    if isinstance(error, GatedRepoError):
        return WeightsError(
            f"{repository} wants its licence accepted: do so on its page, and set HF_TOKEN"
        )
    if isinstance(error, RepositoryNotFoundError):
        return WeightsError(
            f"{repository} is not on the hub, or not for you: set HF_TOKEN if it is private{also}"
        )
    if isinstance(error, LocalEntryNotFoundError):
        return _explain_unreachable(repository, error, also)
    if isinstance(error, HfHubHTTPError):
        return WeightsError(f"{repository}: {reason}")
    if isinstance(error, OSError) and error.errno is not None:
        return MCLDError(f"cannot write {folder}: {error.strerror}")
    if isinstance(error, (OSError, ValueError)):  # such as a file of another size than announced
        return WeightsError(f"{repository}: {reason}. Run the command again to go on")
    if type(error).__module__.startswith("http"):  # of httpx or its successor
        return _explain_unreachable(repository, error, also)
    return error


def _explain_unreachable(repository: str, error: Exception, also: str) -> WeightsError:
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() not in ("", "0", "FALSE", "NO", "OFF"):
        return WeightsError(
            f"{repository} cannot be fetched: HF_HUB_OFFLINE is set. Take it back{also}"
        )
    cause = error.__cause__ or error
    reason = " ".join(str(cause).split())
    return WeightsError(
        f"cannot reach the hub for {repository}: {reason}. Check the network or HF_ENDPOINT{also}"
    )
