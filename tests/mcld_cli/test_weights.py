"""`mcld weights` against a hub of this machine."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.weights.server import Server, serving

Run = Callable[..., subprocess.CompletedProcess[str]]

VAE = "/stabilityai/sd-vae-ft-mse/resolve/main/"
CONTENT = os.urandom(300_000)


@pytest.fixture
def hub() -> Iterator[Server]:
    files = {f"{VAE}config.json": b"{}", f"{VAE}diffusion_pytorch_model.bin": CONTENT}
    with serving(files) as running:
        yield running


@pytest.fixture
def online(tmp_path: Path) -> dict[str, str]:
    """Variables under which the hub is asked, and nothing of the caller's counts."""
    names = ("HF_TOKEN", "http_proxy", "https_proxy", "all_proxy")
    return {**dict.fromkeys(names, ""), "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}


def test_status_tells_what_is_missing_and_under_which_licence(mcld: Run, tmp_path: Path) -> None:
    (tmp_path / "pretrained_weights").mkdir()
    (tmp_path / "pretrained_weights" / "model_final_844d15.pkl").write_bytes(b"something")
    done = mcld("weights", "status")
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert rows["densepose"].split()[1] == "yes"
    assert rows["unet"].split()[1] == "no"
    assert "non-commercial research only" in rows["antelopev2"]
    assert "mcld weights download" in done.stdout


def test_from_the_hub_into_the_tree_with_the_name_that_is_there(
    mcld: Run, tmp_path: Path, hub: Server, online: dict[str, str]
) -> None:
    online["HF_ENDPOINT"] = hub.address
    hub.cut_after = 100_000
    broken = mcld("weights", "download", "vae", **online)
    folder = tmp_path / "pretrained_weights" / "sd-vae-ft-mse"
    assert broken.returncode == 1
    assert "still missing: vae" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert not (folder / "diffusion_pytorch_model.bin").exists()
    hub.cut_after = None
    done = mcld("weights", "download", "vae", **online)
    assert done.returncode == 0, done.stderr
    assert (folder / "diffusion_pytorch_model.bin").read_bytes() == CONTENT
    again = mcld("weights", "download", "vae", **online)
    assert "vae: there already" in again.stdout


def test_what_the_hub_lacks_and_a_hub_that_is_away_are_one_line_each(
    mcld: Run, tmp_path: Path, hub: Server, online: dict[str, str]
) -> None:
    online["HF_ENDPOINT"] = hub.address
    del hub.files[f"{VAE}diffusion_pytorch_model.bin"]
    lacking = mcld("weights", "download", "vae", **online)
    assert lacking.returncode == 1
    assert "holds none of diffusion_pytorch_model.safetensors, diffusion" in lacking.stderr
    online["HF_ENDPOINT"] = "http://127.0.0.1:1"
    away = mcld("weights", "download", "image-encoder", **online)
    assert away.returncode == 1
    assert "cannot reach the hub for lambdalabs/sd-image-variations-diffusers" in away.stderr
    online["HF_HUB_OFFLINE"] = "1"
    offline = mcld("weights", "download", "image-encoder", **online)
    assert "HF_HUB_OFFLINE is set" in offline.stderr
    for done in (lacking, away, offline):
        assert "Traceback" not in done.stderr


def test_a_name_that_is_none_is_wrong_usage(in_process: Run) -> None:
    done = in_process("weights", "download", "clip")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there are no weights 'clip'; there are unet, vae")


def test_commercial_use_is_told_and_what_is_not_for_it_is_refused_in_a_line(
    in_process: Run, hub: Server, online: dict[str, str]
) -> None:
    told = in_process("weights", "status")
    rows = {line.split()[0]: line.split() for line in told.stdout.splitlines() if line.strip()}
    assert [rows[name][3] for name in ("vae", "densepose", "antelopev2")] == [
        "yes",
        "unclear",
        "no",
    ]
    only = in_process("weights", "status", "--commercial")
    assert only.returncode == 0
    assert "insightface's packs, such as antelopev2 and buffalo_s: not for commercial use" in (
        only.stdout
    )
    assert "5 of 5 are missing" in only.stdout
    assert "  mcld weights download --commercial" in only.stdout
    named = in_process("weights", "download", "antelopev2", "--commercial")
    assert named.returncode == 1
    assert "Instead: a network that knows faces by the head crop" in named.stderr
    assert named.stderr.count("\n") == 1


def test_what_may_be_used_commercially_is_downloaded(
    mcld: Run, tmp_path: Path, hub: Server, online: dict[str, str]
) -> None:
    online["HF_ENDPOINT"] = hub.address
    done = mcld("weights", "download", "vae", "--commercial", **online)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pretrained_weights" / "sd-vae-ft-mse" / "config.json").is_file()
