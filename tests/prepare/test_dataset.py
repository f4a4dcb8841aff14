"""All stages of preparing photos: resumable, in any number of processes, never half."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from filelock import FileLock
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.errors import InputError, MCLDError
from mcld.machine.lock import LOCK_FILE
from mcld.prepare.dataset import PrepareRequest, _make_all, plan_dataset, prepare_dataset
from mcld.prepare.report import PrepareReport
from mcld.prepare.stages import Picture, PoseStage, Stage
from mcld.settings import load_settings
from tests.prepare.raw_folder import precomputed_maps, publish_lists, raw_folder

MADE = ("split", "pose", "texture")


def table(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The words of every line of the output."""
    return [line.split() for line in done.stdout.splitlines()]


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people in three pictures each, with lists and maps; the last person is for testing."""
    root = tmp_path_factory.mktemp("raw") / "fashion"
    names = raw_folder(root)
    publish_lists(root / "split", names[:9], names[9:])
    precomputed_maps(root, {"train": names[:9], "test": names[9:]})
    return root


@pytest.fixture
def raw(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "fashion"))


Prepare = Callable[..., PrepareReport]


@pytest.fixture
def prepare() -> Prepare:
    def run(root: Path, workers: int = 1, **request: object) -> PrepareReport:
        options = load_settings(
            None, ["prepare.pose_estimator=precomputed", f"prepare.workers={workers}"]
        ).prepare
        wanted = PrepareRequest(root, **{"stages": MADE, **request})
        return prepare_dataset(wanted, options, lambda *_: None)

    return run


def counts(report: PrepareReport) -> dict[str, tuple[int, int, int]]:
    return {s.name: (s.done, s.skipped, len(s.failed)) for s in report.stages}


def test_every_picture_gets_its_files_and_a_second_run_makes_none(
    raw: Path, prepare: Prepare
) -> None:
    report = prepare(raw)
    assert counts(report) == {"split": (12, 0, 0), "pose": (12, 0, 0), "texture": (12, 0, 0)}
    layout = DatasetLayout(raw)
    for split in ("train", "test"):
        for name in layout.names(split):
            assert layout.is_prepared(split, name.removesuffix(".jpg"))
    assert read_image(raw / "prepare-preview.png").shape == (24 + 6 * 264, 4 * 192, 3)
    before = contents(raw)
    times = {path: path.stat().st_mtime_ns for path in raw.rglob("*_texture/*")}
    again = prepare(raw)
    assert counts(again)["texture"] == (0, 12, 0)
    assert contents(raw) == before
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_maps_are_checked_once_and_again_when_they_or_their_pictures_change(
    raw: Path, prepare: Prepare
) -> None:
    prepare(raw)
    assert counts(prepare(raw))["pose"] == (0, 12, 0)
    layout = DatasetLayout(raw)
    first, second, third = (name.removesuffix(".jpg") for name in layout.names("train")[:3])
    Image.new("RGB", (88, 128)).save(layout.densepose("train", first))
    Image.new("RGB", (80, 120), "red").save(layout.image("train", second))
    os.utime(layout.densepose("train", third), (0, 0))  # an older one, as an archive brings
    report = prepare(raw)
    assert counts(report)["pose"] == (1, 9, 2)
    assert counts(prepare(raw))["pose"] == (0, 10, 2)  # what failed stays failed
    assert counts(prepare(raw, overwrite=True, stages=("pose",)))["pose"] == (10, 0, 2)
    (raw / "cache" / "checked-maps-1.json").write_text("{")
    assert counts(prepare(raw, limit=2, stages=("pose",)))["pose"] == (2, 0, 2)


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_with_nothing_to_do_nothing_large_is_loaded_and_no_process_started(
    raw: Path, prepare: Prepare, option: list[str]
) -> None:
    prepare(raw)
    code = (
        "import sys\n"
        "from mcld.machine import workers\n"
        "from mcld_cli.app import main\n"
        "workers.ProcessPoolExecutor = None\n"
        f"sys.argv[1:] = {[*COMMAND[3:], '--workers', '2', str(raw), *option]!r}\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "large = {'torch', 'numba', 'cv2', 'accelerate', 'scipy', 'onnxruntime', 'diffusers'}\n"
        "print('loaded', large & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded set()"


def test_more_processes_make_the_same_files(raw: Path, prepare: Prepare, tmp_path: Path) -> None:
    prepare(raw)
    one = contents(raw)
    for made in (*raw.glob("*_texture/*"), *raw.glob("prepare-*")):
        made.unlink()
    prepare(raw, workers=2)
    assert contents(raw) == one


COMMAND = (
    *(sys.executable, "-m", "mcld_cli", "prepare", "--stages", ",".join(MADE)),
    *("--pose-estimator", "precomputed"),
)


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(raw: Path, prepare: Prepare) -> None:
    clean = raw.with_name("clean")
    shutil.copytree(raw, clean)
    prepare(clean)
    draw = random.Random(0)
    for _ in range(3):
        run = subprocess.Popen(
            [*COMMAND, raw],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        wanted = draw.randrange(1, 6)
        while len(list(raw.glob("*_texture/*"))) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
            if run.poll() is not None:
                break
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        for made in list(raw.glob("*_texture/*"))[::2]:
            made.unlink()
    prepare(raw)
    assert contents(raw) == contents(clean)


def test_processes_of_a_launcher_share_the_work(raw: Path, prepare: Prepare) -> None:
    clean = raw.with_name("clean")
    shutil.copytree(raw, clean)
    prepare(clean)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", "mcld_cli", *COMMAND[3:], raw],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "texture: 6 of 6 pictures" in done.stderr  # the first one's half
    assert table(done).count(["texture", "12", "12", "0", "0"]) == 1
    assert contents(raw) == contents(clean)


def test_a_second_run_at_once_stops_with_a_line(raw: Path, prepare: Prepare) -> None:
    with FileLock(raw / LOCK_FILE), pytest.raises(InputError, match="by another run"):
        prepare(raw)


def bad_pictures(folder: Path) -> dict[str, str]:
    """Write hostile raw pictures; flat name -> a word of the reason, '' where it is usable."""
    good = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 88, 3), np.uint8))
    folder.mkdir(parents=True)
    expected = {}

    def put(number: int, reason: str, **how: object) -> Path:
        path = folder / f"{number:02d}_1_front.jpg"
        expected[f"fashionMENBadid00000001{number:02d}_1front.jpg"] = reason
        if how:
            how.pop("image", good).save(path, **how)
        return path

    put(1, "").write_bytes(b"")
    expected["fashionMENBadid0000000101_1front.jpg"] = "empty"
    put(2, "not a picture").write_bytes(b"no picture at all" * 50)
    path = put(3, "truncated", format="JPEG")
    path.write_bytes(path.read_bytes()[:-900])
    put(4, "", format="JPEG", image=good.convert("CMYK"))
    put(5, "", format="JPEG", image=good.convert("L"))
    put(6, "", format="PNG", image=good.convert("RGBA"))
    put(7, "", format="PNG", image=Image.fromarray(np.full((128, 88), 40_000, np.uint16)))
    exif = Image.Exif()
    exif[0x0112] = 6
    put(8, "", format="JPEG", image=good.transpose(Image.Transpose.ROTATE_90), exif=exif)
    frames = [good, good.transpose(Image.Transpose.ROTATE_180)]
    put(9, "animated", format="GIF", image=frames[0], save_all=True, append_images=frames[1:])
    put(10, "20000x4", format="JPEG", image=Image.new("RGB", (20_000, 4)))
    return expected


def test_each_bad_picture_has_its_reason_and_stops_nothing(raw: Path, prepare: Prepare) -> None:
    expected = bad_pictures(raw / "img_highres" / "MEN" / "Bad" / "id_00000001")
    expected["fashionMENBadid0000000199_1front.jpg"] = "not among the raw pictures"
    names = DatasetLayout(raw).names("train")
    publish_lists(raw / "split", [*names, *expected], DatasetLayout(raw).names("test"))
    report = prepare(raw, stages=("split",), workers=2)
    failed = report.stages[0].failed
    assert counts(report)["split"][0] == 12 + list(expected.values()).count("")
    for name, reason in expected.items():
        if reason:
            assert reason in failed[f"train/{name}"]
            assert not (raw / "train" / name).exists()
        else:
            assert f"train/{name}" not in failed
            assert read_image(raw / "train" / name).shape == (128, 88, 3)
    written = json.loads((raw / "prepare-report.json").read_text())
    assert written["stages"]["split"]["failed"] == failed


def test_bad_maps_have_their_reasons_and_leave_no_texture(raw: Path, prepare: Prepare) -> None:
    layout = DatasetLayout(raw)
    stems = [name.removesuffix(".jpg") for name in layout.names("train")]
    blank = np.zeros((128, 88, 3), np.uint8)
    with Image.open(layout.densepose("train", stems[0])) as whole:
        whole.crop((0, 0, 88, 64)).save(layout.densepose("train", stems[0]))
    Image.fromarray(blank + 200).save(layout.densepose("train", stems[1]))
    Image.fromarray(blank).save(layout.densepose("train", stems[2]))
    layout.densepose("train", stems[3]).unlink()
    expected = {
        f"train/{stems[0]}.jpg": "88x64",
        f"train/{stems[1]}.jpg": "labels 0..24",
        f"train/{stems[2]}.jpg": "nobody",
        f"train/{stems[3]}.jpg": "no IUV map",
    }

    def check(failed: dict[str, str]) -> None:
        assert failed.keys() == expected.keys()
        for key, word in expected.items():
            assert word in failed[key]

    report = prepare(raw)
    check(report.stages[1].failed)
    texture = report.stages[2]
    assert (texture.listed, texture.done, texture.failed) == (8, 8, {})  # each is reported once
    check(prepare(raw, stages=("texture",)).stages[0].failed)
    for stem in stems[:4]:
        assert not layout.texture("train", stem).exists()


def test_a_folder_that_cannot_be_written_stops_the_run(raw: Path, prepare: Prepare) -> None:
    (raw / "train_texture").write_text("in the way")
    with pytest.raises(MCLDError, match="cannot write"):
        prepare(raw)
    assert not list(raw.rglob(".mcld-*"))


def test_leftovers_of_a_killed_run_are_removed(raw: Path, prepare: Prepare) -> None:
    (raw / "train_densepose" / ".mcld-abc.png").write_bytes(b"half")
    prepare(raw, stages=("split",))
    assert not list(raw.rglob(".mcld-*"))


def test_overwrite_makes_again_and_leaves_nothing_that_is_no_longer_true(
    raw: Path, prepare: Prepare
) -> None:
    prepare(raw)
    layout = DatasetLayout(raw)
    stem = layout.names("train")[0].removesuffix(".jpg")
    layout.densepose("train", stem).unlink()
    assert layout.texture("train", stem).exists()
    report = prepare(raw, stages=("texture",), overwrite=True)
    assert counts(report)["texture"] == (11, 0, 1)
    assert not layout.texture("train", stem).exists()


def test_a_limit_takes_the_first_of_each_split(raw: Path, prepare: Prepare) -> None:
    assert counts(prepare(raw, limit=2))["texture"] == (4, 0, 0)


def test_without_lists_the_split_is_our_own_and_says_so(raw: Path, prepare: Prepare) -> None:
    for file in (raw / "split").iterdir():
        file.unlink()
    assert not prepare(raw, stages=("split",)).papers_split
    assert not prepare(raw, stages=("split",)).papers_split
    assert "published" in (raw / "split" / "NOT-THE-PAPERS-SPLIT.txt").read_text()
    layout = DatasetLayout(raw)
    assert (len(layout.names("train")), len(layout.names("test"))) == (9, 3)
    assert len(layout.pairs("test")) == 6


def test_a_plan_writes_nothing_and_counts_what_is_to_do(raw: Path) -> None:
    options = load_settings(None, ["prepare.pose_estimator=precomputed"]).prepare
    before = contents(raw)
    report = plan_dataset(PrepareRequest(raw, MADE), options)
    assert counts(report) == {"split": (12, 0, 0), "pose": (0, 12, 0), "texture": (12, 0, 0)}
    assert contents(raw) == before


def test_a_plan_names_maps_that_are_absent(raw: Path) -> None:
    options = load_settings(None, ["prepare.pose_estimator=precomputed"]).prepare
    next(iter(raw.glob("train_densepose/*"))).unlink()
    report = plan_dataset(PrepareRequest(raw, MADE), options)
    assert counts(report) == {"split": (12, 0, 0), "pose": (0, 11, 1), "texture": (11, 0, 0)}


def test_a_split_of_our_own_given_to_another_folder_is_still_not_the_papers(
    raw: Path, prepare: Prepare
) -> None:
    shutil.copytree(raw, raw.with_name("other"))
    shutil.rmtree(raw / "split")
    prepare(raw, stages=("split",))
    assert not prepare(
        raw.with_name("other"), stages=("split",), split_dir=raw / "split"
    ).papers_split
    assert not prepare(raw.with_name("other"), stages=("split",)).papers_split


def test_workers_end_when_only_their_parent_is_killed(raw: Path) -> None:
    run = subprocess.Popen(
        [*COMMAND, "--workers", "2", raw], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (workers := psutil.Process(run.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    while not list(raw.glob("*_texture/*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    workers = psutil.Process(run.pid).children()
    assert len(workers) >= 2
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive


class NeverLoads(Stage):
    name = "pose"

    def load(self) -> None:
        raise MCLDError("libGL is missing")

    def output(self, picture: Picture) -> Path:
        return self.layout.densepose(*picture)

    def make(self, picture: Picture) -> None:
        raise AssertionError("made without what it needs")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_loaded_stops_the_run_and_is_no_pictures_fault(
    raw: Path, workers: int
) -> None:
    pictures = [Picture("train", "a"), Picture("train", "b")]
    with pytest.raises(MCLDError, match="libGL is missing"):
        list(_make_all(NeverLoads(DatasetLayout(raw)), pictures, False, workers))


class MakesMaps(NeverLoads):
    def load(self) -> None:
        pass

    def made_from_output(self, picture: Picture) -> tuple[Path, ...]:
        return PoseStage.made_from_output(self, picture)  # type: ignore[arg-type]

    def make(self, picture: Picture) -> None:
        self.output(picture).touch()


def test_new_maps_take_away_the_textures_and_faces_made_from_the_old(
    raw: Path, prepare: Prepare
) -> None:
    prepare(raw)
    layout = DatasetLayout(raw)
    picture = Picture("train", layout.names("train")[0].removesuffix(".jpg"))
    layout.face(*picture).parent.mkdir()
    layout.face(*picture).touch()
    assert list(_make_all(MakesMaps(layout), [picture], False, 1)) == [None]
    assert layout.texture(*picture).exists()
    assert list(_make_all(MakesMaps(layout), [picture], True, 1)) == [None]
    assert not layout.texture(*picture).exists()
    assert not layout.face(*picture).exists()
    assert len(list(raw.glob("train_texture/*"))) == 8


def test_a_full_disk_stops_the_run_with_a_line_and_leaves_nothing_half_written(raw: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = subprocess.run(
        [*COMMAND, raw],
        preexec_fn=small_files_only,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot write" in error
    assert "Traceback" not in done.stderr
    assert not list(raw.rglob(".mcld-*"))
    assert not list(raw.glob("*_texture/*"))


def test_a_folder_without_pictures_is_one_clear_error(tmp_path: Path, prepare: Prepare) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        prepare(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        prepare(tmp_path / "nowhere")


def test_overwriting_without_the_raw_folder_keeps_the_flat_pictures(
    raw: Path, prepare: Prepare
) -> None:
    prepare(raw)
    shutil.rmtree(raw / "img_highres")
    report = prepare(raw, overwrite=True)
    assert counts(report) == {"split": (12, 0, 0), "pose": (12, 0, 0), "texture": (12, 0, 0)}
    assert len(list(raw.glob("t*/*.jpg"))) == 12


def test_a_raw_name_that_is_not_utf_8_is_reported(raw: Path, prepare: Prepare) -> None:
    name = os.fsdecode(b"02_1_caf\xe9.jpg")
    (raw / "img_highres/WOMEN/Tees_Tanks/id_00000001" / name).write_bytes(b"x")
    prepare(raw, stages=("split",))
    written = json.loads((raw / "prepare-report.json").read_text(encoding="utf-8"))
    (shown,) = written["refused_files"]
    assert shown.endswith("02_1_caf\\xe9.jpg")


def test_lists_that_a_killed_run_left_in_part_are_made_whole(raw: Path, prepare: Prepare) -> None:
    for file in ("train.lst", "train.csv", "test.lst", "test.csv"):
        shutil.copy(raw / "split" / file, raw / file)
    whole = contents(raw / "split")
    (raw / "split" / "test.lst").unlink()
    assert prepare(raw, stages=("split",)).papers_split
    assert contents(raw / "split") == whole


def test_our_own_split_stays_ours_when_a_run_was_killed_or_the_raw_folder_is_gone(
    raw: Path, prepare: Prepare
) -> None:
    shutil.rmtree(raw / "split")
    prepare(raw, stages=("split",))
    whole = contents(raw / "split")
    (raw / "split" / "test.csv").unlink()
    assert not prepare(raw, stages=("split",)).papers_split
    assert contents(raw / "split") == whole
    shutil.rmtree(raw / "img_highres")
    assert not prepare(raw, stages=("split",)).papers_split
    assert contents(raw / "split") == whole
