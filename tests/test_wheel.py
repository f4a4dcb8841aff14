"""What `pip install` of the wheel gives a stranger, without the folder of the sources."""

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from mcld import __version__

ROOT = Path(__file__).parents[1]

pytest.importorskip("hatchling", reason="without it no wheel is built here")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    how = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", *how], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment with the wheel, which sees what ours has installed."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A .pth of ours, as of an editable install of mcld, is not followed from here.
    ours = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "ours.pth").write_text("\n".join(ours))
    return python.parent


def run(program: Path, *words: str, folder: Path) -> str:
    done = subprocess.run(
        [program, *words], cwd=folder, capture_output=True, text=True, env={"COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path):
    files = {
        str(path.relative_to(ROOT))
        for package in ("mcld", "mcld_cli")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert files - packed == set()
    assert {name.split("/")[0] for name in packed} == {
        "mcld",
        "mcld_cli",
        f"mcld-{__version__}.dist-info",
    }
    needed = {
        "mcld/body/gallery/walking.npz",
        "mcld/body/motions/walk.npz",
        "mcld/estimators/body/weights/landmarks.onnx",
        "mcld/evaluate/protocols/mcld-1.yaml",
        "mcld/evaluate/report.html.jinja",
        "mcld/evaluate/study.css",
        "mcld/evaluate/study.html.jinja",
        "mcld/evaluate/study.js",
        "mcld/mannequin/weights/model_index.json",
        "mcld/mannequin/weights/denoising_unet/diffusion_pytorch_model.safetensors",
        "mcld/py.typed",
        "mcld/studio/examples/ada.jpg",
        "mcld/studio/page/index.html",
        f"mcld-{__version__}.dist-info/licenses/LICENSE",
    }
    assert needed - packed == set()


def test_what_is_installed_is_the_wheel_and_answers(installed: Path, tmp_path: Path):
    where = run(
        installed / "python", "-c", "import mcld; print(mcld.__file__)", folder=tmp_path
    ).strip()
    assert Path(where).is_relative_to(installed.parent)
    mcld = installed / "mcld"
    assert run(mcld, "--version", folder=tmp_path).strip().endswith(__version__)
    poses = json.loads(run(mcld, "sample", "--list-poses", "--json", folder=tmp_path))
    assert "walking" in poses["poses"]
    assert "walk" in poses["motions"]
    assert "painting" in run(mcld, "doctor", folder=tmp_path)
