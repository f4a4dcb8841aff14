import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcld import __version__
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_iuv, write_png
from mcld.errors import InputError, MCLDError, SettingsError
from mcld_cli.app import app

HEAVY = ["torch", "diffusers", "transformers", "accelerate", "bitsandbytes"]
"""Libraries that take seconds to import."""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def acting(in_process: Run) -> Iterator[Run]:
    """Run a command that does `action`."""

    def run(action: Callable[[], None], *arguments: str) -> subprocess.CompletedProcess[str]:
        app.command("act")(action)
        return in_process(*arguments, "act")

    commands = list(app.registered_commands)
    yield run
    app.registered_commands = commands


def test_what_apples_gpus_cannot_compute_is_left_to_the_cpu(acting, monkeypatch):
    name = "PYTORCH_ENABLE_MPS_FALLBACK"
    for set_before, wanted in (("", "1"), ("0", "0")):
        monkeypatch.setenv(name, set_before)
        if not set_before:
            monkeypatch.delenv(name)
        acting(lambda: None)
        assert os.environ[name] == wanted


@pytest.mark.parametrize(
    ("end", "code", "told"), [("SystemExit(3)", 3, ""), ("RuntimeError('ours')", 1, "ours")]
)
def test_the_process_ends_when_threads_have_and_nothing_is_left_behind(tmp_path, end, code, told):
    script = (
        "import sys, tempfile, threading, time\n"
        "import mcld_cli.app, mcld_cli.__main__ as entry\n"
        "def finish():\n"
        "    time.sleep(0.2)\n"
        "    print('thread')\n"
        "def main():\n"
        "    main.folder = tempfile.TemporaryDirectory(dir=sys.argv[1])\n"
        "    threading.Thread(target=finish).start()\n"
        "    print('command')\n"
        f"    raise {end}\n"
        "mcld_cli.app.main = main\n"
        "entry.start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, "command\nthread\n")
    assert told in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_process_whose_output_was_closed_ends_as_any_other():
    command = f"exec {shlex.quote(sys.executable)} -m mcld_cli --version >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_loads_nothing_heavy() -> None:
    heavy = ["torch", "diffusers", "transformers", "cv2", "numpy", "scipy", "trimesh"]
    script = (
        "import sys; sys.argv = ['mcld', '--help']\n"
        "from mcld_cli.app import main\n"
        "try: main()\n"
        f"finally: print('loaded:', [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: []\n")


def test_what_can_be_seen_at_once_is_told_before_the_seconds_that_torch_takes_to_load(
    tmp_path: Path, dataset: DatasetLayout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stem = dataset.names("test")[0].removesuffix(".jpg")
    prepared, texture = dataset.image("test", stem), dataset.texture("test", stem)
    photo = tmp_path_factory.mktemp("photos") / "photo.jpg"
    photo.write_bytes(prepared.read_bytes())
    swapped = photo.with_name("swapped.png")
    write_png(swapped, read_iuv(dataset.densepose("test", stem)))
    refusals = {
        "sample --source no.jpg --pose no.png --out o.png": (1, "no.jpg does not exist"),
        "sample --source a.jpg --pose b.png --out o.jpg": (2, "--out o.jpg: the picture is"),
        "sample --source a.jpg --pose b.png --out o.png --weights no": (1, "--weights no does not"),
        "sample --split val --save-path results": (2, "--split val: there are"),
        "sample --split test --dataset no --save-path r": (1, "no/split/test.csv is missing"),
        "sample --split test --dataset no --save-path r --processes 2": (1, "no/split/test.csv is"),
        "edit --source no.jpg --face no.jpg --out o.png": (1, "no.jpg does not exist"),
        "edit --source no.jpg --export-texture t.png": (1, "no.jpg does not exist"),
        "edit --source no.jpg --export-texture t.jpg": (2, "--export-texture t.jpg: name it .png"),
        "train --recipe no.yaml": (2, "no.yaml: no such file; --recipe takes a YAML file"),
        "train --recipe no.yaml --resume": (2, "--resume goes without --recipe"),
        "edit --recipe no.yaml": (2, "no.yaml: no such file"),
        "edit --recipe no.yaml --processes 2": (2, "no.yaml: no such file"),
        "weights status --config no.yaml": (2, "no.yaml: no such file"),
        "weights download no": (2, "there are no weights 'no'"),
        "weights convert no to --to pth": (1, "no is no folder of weights"),
        "weights average no": (1, "no does not exist: give the output folder of a training"),
        "weights average no --width 0.07": (2, "give a width and a new folder: --out is missing"),
        "weights average no --out o": (2, "give a width and a new folder: --width is missing"),
        "weights average no --width 0.5 --out o": (2, "--width 0.5: give a share of the run, from"),
        "weights average no --width nan --out o": (2, "--width nan: give a share of the run, from"),
        "prepare no": (1, "no is no folder"),
        "evaluate --save-path no": (1, "no is no folder"),
        f"sample --source {photo} --pose {photo} --out o.png --pose-estimator densepose": (
            1,
            f"{photo} needs a pose",
        ),
        f"sample --source {photo} --pose nowhere --out o.png": (1, "nowhere is neither a file nor"),
        f"sample --source {prepared} --pose {swapped} --out o.png": (1, f"{swapped} is not an IUV"),
        f"edit --source {photo} --out o.png --pose-estimator densepose": (
            1,
            f"{photo} needs a pose",
        ),
        f"edit --source {prepared} --pose {swapped} --out o.png": (1, f"{swapped} is not an IUV"),
        f"sample --source {prepared} --pose {prepared} --out {texture}": (
            2,
            f"--out: {texture} is what the result is made from",
        ),
        "settings --config no.yaml": (2, "no.yaml: no such file; --config takes a YAML file"),
    }
    script = (
        "import sys\n"
        "from mcld_cli.app import main\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv = ['mcld', *command.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end:\n"
        f"        print(end.code, any(name in sys.modules for name in {HEAVY}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *refusals],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == [f"{code} False" for code, _ in refusals.values()]
    for line, (_, told) in zip(done.stderr.splitlines(), refusals.values(), strict=True):
        assert line.startswith(f"error: {told}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        *("", "prepare", "train", "sample", "edit", "evaluate", "settings"),
        *("doctor", "weights", "weights status", "weights download", "weights convert"),
        "weights average",
    ],
)
def test_help_fits_eighty_columns(in_process: Run, command: str) -> None:
    done = in_process(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage: mcld" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    shown = [line.strip() for line in done.stdout.splitlines()]
    examples = [k for k, line in enumerate(shown) if line.startswith(("mcld ", "accelerate "))]
    assert examples or command == "weights"
    for k in examples:  # whole on one line, so that they can be pasted
        assert not shown[k + 1]
    assert "<bool>" not in done.stdout  # of a flag, which takes no value


def test_the_version_is_told(mcld: Run) -> None:
    done = mcld("--version")
    assert (done.returncode, done.stdout) == (0, f"mcld {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["train", "--fast"], ["sample"], ["prepare"], ["prepare", "--mannequins=4"]],
)
def test_wrong_usage_ends_with_2(in_process: Run, arguments: list[str]) -> None:
    assert in_process(*arguments).returncode == 2


def test_wrong_usage_is_one_line_that_names_the_help(in_process: Run) -> None:
    done = in_process("sample", "--seed", "many")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Invalid value for '--seed': ")
    assert done.stderr.endswith(". See mcld sample --help\n")
    assert done.stderr.count("\n") == 1


def test_a_question_is_not_followed_by_a_full_stop(in_process: Run) -> None:
    done = in_process("sampel")
    assert done.returncode == 2
    assert (
        done.stderr == "error: No such command 'sampel'. Did you mean 'sample'? See mcld --help\n"
    )


def test_output_that_nobody_reads_to_the_end_is_no_error() -> None:
    command = f"{sys.executable} -m mcld_cli train --help | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


@pytest.mark.parametrize(("kind", "code"), [(InputError, 1), (SettingsError, 2)])
def test_a_known_error_is_one_line(acting: Run, kind: type[MCLDError], code: int) -> None:
    long = "a/" * 100

    def fail() -> None:
        raise kind(f"no [bold]picture[/bold] at {long}\nhere")

    done = acting(fail)
    assert done.returncode == code
    assert done.stderr == f"error: no [bold]picture[/bold] at {long} here\n"
    assert done.stdout == ""


def fail_unexpectedly() -> None:
    raise ValueError("odd")


def test_a_bug_is_one_line_that_says_how_to_see_more(acting: Run) -> None:
    done = acting(fail_unexpectedly)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unexpected ValueError: odd; run again with --debug")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback_of_a_bug(acting: Run) -> None:
    done = acting(fail_unexpectedly, "--debug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: odd\n")


def test_an_interrupted_run_ends_with_130() -> None:
    script = (
        "import signal, sys, time\n"
        "from mcld_cli.app import app, main\n"
        # A job in the background of a shell is born deaf to SIGINT; this one listens again.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "@app.command()\n"
        "def act():\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
        "sys.argv = ['mcld', 'act']\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "started\n"
        os.kill(running.pid, signal.SIGINT)
        _, complaint = running.communicate(timeout=30)
    assert running.returncode == 130
    assert complaint == "error: interrupted\n"
