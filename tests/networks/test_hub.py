"""Networks on a hub of this machine: found by their ids, pushed, and loaded from there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load, load_file

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, WeightsError
from mcld.evaluate.scores import SizeScores
from mcld.model_card import write_card
from mcld.networks.folders import load_pipeline, load_weights
from mcld.networks.hub import _download, find_network
from mcld.networks.places import EMBEDDED
from mcld.sampling.open import hash_pipeline
from mcld.settings import load_settings
from tests.hub import Hub, serving_hub

Run = Callable[..., subprocess.CompletedProcess[str]]
NETWORK = "somebody/people"
PUSH = f"""
from pathlib import Path
from mcld.networks.folders import load_pipeline
load_pipeline().push_to_hub({NETWORK!r}, evaluation=Path("evaluation"))
"""
LOAD = f"""
from diffusers import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(
    {NETWORK!r}, custom_pipeline={NETWORK!r}, trust_remote_code=True
)
from mcld.sampling.open import hash_pipeline
print(type(pipeline).__name__, pipeline.config.focal_conditions, hash_pipeline(pipeline))
"""
_UNKNOWN = "whether it began with Stable Diffusion's weights is not recorded"
SAVE = f"""
from mcld.networks.folders import load_pipeline
load_pipeline().save_pretrained("people", push_to_hub=True, repo_id={NETWORK!r})
"""


def variables(hub: Hub, home: Path) -> dict[str, str]:
    """Those under which the hub is this one, and nothing of the caller's counts."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    return {
        **dict.fromkeys(names, ""),
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_nobody",
    }


def python(code: str, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **given},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the embedded network, pushed there."""
    folder = tmp_path_factory.mktemp("push")
    (folder / "evaluation").mkdir()
    scores = {
        "dataset": "/secret/place/shop",
        "values": {"256": {"pairs": 12000, "psnr": 20.6312, "ssim": 0.7731}},
        "counts": {"256": SizeScores(12001).count_pictures()},
    }
    (folder / "evaluation" / "metrics.json").write_text(json.dumps(scores))
    with serving_hub() as hub:
        done = python(PUSH, folder, **variables(hub, folder / "hf"))
        assert done.returncode == 0, done.stderr
        yield hub


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """An empty hub, for this process."""
    with serving_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            hub.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        _download.cache_clear()
        yield hub
        _download.cache_clear()


def test_a_card_tells_what_is_known_and_nothing_of_this_machine(pushed):
    card = pushed.repositories[NETWORK]["README.md"].decode()
    facts = yaml.safe_load(card.split("---")[1])
    assert facts["library_name"] == "diffusers"
    assert facts["license"] == "other"
    for heading in ("Use", "Method", "Data", "Figures", "Intended use", "Licence"):
        assert f"\n## {heading}\n" in card
    assert f"--weights {NETWORK}" in card
    assert "| size | pairs | psnr | ssim |" in card
    assert "| 256 | 12000 | 20.63 | 0.7731 |" in card
    assert "By `mcld evaluate`, on shop.\n" in card
    assert "/secret" not in card
    index = pushed.repositories[NETWORK]["model_index.json"].decode()
    assert str(EMBEDDED) not in index


def test_a_network_of_stable_diffusion_goes_under_its_licence(tmp_path):
    origin = tmp_path / "pipeline"
    origin.mkdir()
    size = {"height": 256, "width": 176, "images": 24000}
    train = {"dataset": "/my/place/fashion", "pretrained": "pretrained_weights", **size}
    (origin / "training.yaml").write_text(yaml.safe_dump({"settings": {"train": train}}))
    config = {"vae": ("diffusers", "AutoencoderKL"), "_name_or_path": str(origin)}
    write_card(tmp_path, "me/net", config)
    card = (tmp_path / "README.md").read_text()
    assert "license: creativeml-openrail-m\n" in card
    assert "called `fashion`; it saw 24,000" in card
    assert "/my/place" not in card
    with pytest.raises(InputError, match=r"metrics\.json cannot be read"):
        write_card(tmp_path, "me/net", config, tmp_path)


@pytest.mark.parametrize(
    ("train", "autoencoder", "told"),
    [
        (None, "AutoencoderKL", _UNKNOWN),
        ({"pretrained": "weights", "start_from": "runs/other"}, "AutoencoderKL", _UNKNOWN),
        ({"pretrained": None, "start_from": None}, "AutoencoderKL", "Not stated."),
        (None, "PatchAutoencoder", "Not stated."),
    ],
)
def test_where_a_networks_weights_began_is_said_only_where_it_is_recorded(
    tmp_path, train, autoencoder, told
):
    if train is not None:
        record = yaml.safe_dump({"settings": {"train": train}})
        (tmp_path / "training.yaml").write_text(record)
    config = {"vae": ("library", autoencoder), "_name_or_path": str(tmp_path)}
    write_card(tmp_path, "me/net", config)
    card = (tmp_path / "README.md").read_text()
    assert "license: other\n" in card
    assert told in card


def test_diffusers_loads_what_was_pushed(pushed, tmp_path):
    done = python(LOAD, tmp_path, **variables(pushed, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    known = "MCLDPipeline ['source', 'texture', 'face']"
    assert done.stdout.strip() == f"{known} {hash_pipeline(load_pipeline())}"


def test_what_was_saved_in_half_precision_goes_up_in_it(pushed):
    files = sorted(file.relative_to(EMBEDDED) for file in EMBEDDED.glob("*/*.safetensors"))
    assert files
    for file in files:
        there, here = load(pushed.repositories[NETWORK][str(file)]), load_file(EMBEDDED / file)
        assert there.keys() == here.keys()
        assert all(there[key].dtype == here[key].dtype == torch.float16 for key in here)
        assert all(torch.equal(there[key], here[key]) for key in here)


def test_without_mcld_that_is_said(pushed, tmp_path):
    away = f"import sys\nsys.modules['mcld'] = None\n{LOAD}"
    done = python(away, tmp_path, **variables(pushed, tmp_path / "hf"))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("needs the package mcld, which is not installed: pip install mcld")


def test_a_card_that_is_there_is_kept(tmp_path):
    with serving_hub() as hub:
        hub.repositories[NETWORK] = {"README.md": b"Mine."}
        done = python(SAVE, tmp_path, **variables(hub, tmp_path / "hf"))
        assert done.returncode == 0, done.stderr
        assert hub.repositories[NETWORK]["README.md"] == b"Mine."
        assert "pipeline.py" in hub.repositories[NETWORK]
    load_weights(tmp_path / "people", load_settings())  # the folder that was pushed, too


def test_a_card_in_ones_own_folder_is_kept_and_uploaded(tmp_path):
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "README.md").write_text("Mine.")
    with serving_hub() as hub:
        done = python(SAVE, tmp_path, **variables(hub, tmp_path / "hf"))
        assert done.returncode == 0, done.stderr
        assert hub.repositories[NETWORK]["README.md"] == b"Mine."
    assert (tmp_path / "people" / "README.md").read_text() == "Mine."


def test_a_picture_is_painted_by_a_network_of_the_hub_and_again_without_network(
    mcld: Run, pushed: Hub, dataset: DatasetLayout, tmp_path: Path
) -> None:
    stem = Path(dataset.names("test")[0]).stem
    what = (
        "--source",
        str(dataset.image("test", stem)),
        "--pose",
        str(dataset.densepose("test", stem)),
    )
    online = variables(pushed, tmp_path / "hf")
    pushed.fetched.clear()
    done = mcld("sample", *what, "--out", "a.png", "--weights", NETWORK, **online)
    assert done.returncode == 0, done.stderr
    assert f"{NETWORK}/model_index.json" in pushed.fetched
    assert not [file for file in pushed.fetched if file.endswith(".py")]
    away = {**online, "HF_ENDPOINT": "http://127.0.0.1:1"}
    again = mcld("sample", *what, "--out", "b.png", "--weights", NETWORK, **away)
    assert again.returncode == 0, again.stderr
    records = [json.loads(Image.open(tmp_path / f"{name}.png").text["mcld"]) for name in "ab"]
    assert records[0] == records[1]
    assert records[0]["weights"] == hash_pipeline(load_pipeline())


def test_a_folder_of_that_name_wins(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here.repositories[NETWORK] = {"model_index.json": b"{}"}
    Path(NETWORK).mkdir(parents=True)
    assert find_network(Path(NETWORK)) == Path(NETWORK)
    Path(NETWORK).rmdir()
    assert (find_network(Path(NETWORK)) / "model_index.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "weights", ["nowhere", "runs/mine/pipeline", "/somebody/people", "../people"]
)
def test_what_can_be_no_id_is_not_looked_up(weights):
    assert find_network(Path(weights)) == Path(weights)


def test_what_the_hub_lacks_withholds_or_cannot_say_is_a_line_each(here, monkeypatch):
    def refuse(weights: str) -> str:
        with pytest.raises(WeightsError) as refused:
            find_network(Path(weights))
        assert "\n" not in str(refused.value)
        return str(refused.value)

    assert refuse("no/body") == (
        "no/body is not on the hub, or not for you: set HF_TOKEN if it is private, or give a folder"
        " that is here, as no/body is not"
    )
    here.repositories["a/gated"] = {"model_index.json": b"{}"}
    here.gated.add("a/gated")
    assert "a/gated wants its licence accepted: do so on its page, and set HF_TOKEN" in refuse(
        "a/gated"
    )
    here.repositories["no/network"] = {"model.gguf": b"other"}
    with pytest.raises(WeightsError, match="no/network on the hub holds no network"):
        load_weights(Path("no/network"), load_settings())
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert "cannot reach the hub for no/where: " in refuse("no/where")
    assert "Check the network or HF_ENDPOINT, or give a folder" in refuse("no/where")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "no/where cannot be fetched: HF_HUB_OFFLINE is set" in refuse("no/where")


def test_under_commercial_use_the_authors_network_is_not_even_fetched(here):
    here.repositories["Lotior/mcld"] = {"denoising_unet.pth": b"weights"}
    with pytest.raises(WeightsError, match="paper's authors: unclear"):
        load_weights(Path("Lotior/mcld"), load_settings(overrides=["prepare.commercial=true"]))
    assert here.fetched == []
