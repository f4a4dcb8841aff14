"""Photos, and nothing prepared: DensePose reads them, or what comes along."""

import json
import pickle

from PIL import Image
from skimage import data

from mcld.dataset.pictures import write_iuv, write_png
from mcld.mannequin.prepare import prepare_mannequins
from mcld.mannequin.world import identity, pose, render
from tests.golden.densepose.weights import FOLDER, make_weights
from tests.prepare.raw_folder import raw_folder


def test_two_photos_and_the_published_weights_make_a_picture(mcld, tmp_path):
    folder = tmp_path / "pretrained_weights"
    folder.mkdir()
    published = folder / "model_final_844d15.pkl"
    model = {key: tensor.numpy() for key, tensor in make_weights(seed=1).items()}
    published.write_bytes(pickle.dumps({"model": model, "__author__": "Detectron2 Model Zoo"}))
    converted = mcld("weights", "convert", "densepose")
    assert converted.returncode == 0, converted.stderr
    assert "is no longer needed" in converted.stdout
    published.unlink()
    photos = ("--source", FOLDER / "photo.png", "--pose", FOLDER / "wide.png")
    done = mcld("sample", *photos, "--person", "largest", "--out", "out.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (288, 384)
        assert picture.text["mcld"].find('"person": "largest"') > 0


def test_what_is_no_weights_to_convert_is_told(in_process, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"PK")
    for source, reason in (
        ("x.pth", "x.pth is no folder of weights, nor DensePose's .pkl: it is a file"),
        ("nowhere", "nowhere is no folder of weights, nor DensePose's .pkl: it does not exist"),
        ("nowhere.pkl", "nowhere.pkl is missing: mcld weights download densepose"),
        ("densepose", "pretrained_weights/model_final_844d15.pkl are missing"),
    ):
        done = in_process("weights", "convert", source, "new", "--to", "safetensors")
        assert done.returncode != 0
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1


def test_who_counts_is_chosen_where_maps_are_made(in_process, tmp_path):
    (tmp_path / "own" / "WOMEN").mkdir(parents=True)
    precomputed = ("--pose-estimator", "precomputed", "--stages", "split,pose")
    done = in_process("prepare", "own", "--person", "2", *precomputed)
    assert done.returncode == 2
    assert "--person does not go with --pose-estimator precomputed" in done.stderr
    done = in_process("prepare", "own", "--person", "tallest")
    assert "give one of confident, largest or a whole number above 0" in done.stderr


def test_a_photo_and_a_pose_that_comes_along_need_no_weights(mcld, tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "me.jpg")
    done = mcld("sample", "--source", "me.jpg", "--pose", "walking", "--out", "out.png", "--sheet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("embedded reader of bodies") == 1
    assert "mcld weights download densepose" in done.stdout
    assert "No face" not in done.stdout
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (512, 512)
    done = mcld("edit", "--source", "me.jpg", "--recolor", "upper=navy", "--out", "edit.png")
    assert done.returncode == 0, done.stderr


def test_poses_are_listed_and_a_wrong_name_leads_there(in_process, tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "me.jpg")
    done = in_process("sample", "--list-poses")
    assert "hands-on-hips" in done.stdout.splitlines()
    done = in_process("sample", "--source", "me.jpg", "--pose", "flying", "--out", "out.png")
    assert done.returncode == 1
    assert "flying is neither a file nor a pose that comes with mcld" in done.stderr


def test_the_sources_proportions_are_kept_if_asked(mcld, in_process, tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "me.jpg")
    given = ("sample", "--source", "me.jpg", "--pose", "walking", "--out", "out.png", "--fit-body")
    done = mcld(*given)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert '"fit_body": true' in picture.text["mcld"]
    done = in_process(*given, "--set", "prepare.body_betas=[1]")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "prepare.fit_body takes the source's shape, prepare.body_betas another" in done.stderr
    done = in_process("sample", "--split", "test", "--save-path", "results", "--fit-body")
    assert "--fit-body goes with one picture" in done.stderr


def test_a_photos_own_map_is_given_by_hand(mcld, tmp_path):
    image, iuv = render(identity(0, 0), pose(0, 0, 0))
    write_png(tmp_path / "me.png", image)
    write_iuv(tmp_path / "map.png", iuv)
    given = ("--source", "me.png", "--source-pose", "map.png")
    done = mcld("sample", *given, "--pose", "standing-back", "--out", "out.png")
    assert done.returncode == 0, done.stderr
    assert "embedded reader" not in done.stdout
    with Image.open(tmp_path / "out.png") as picture:
        assert '"source_pose": "map.png"' in picture.text["mcld"]
    write_png(tmp_path / "other.png", image[:-8])
    done = mcld(
        *("sample", "--source", "other.png", "--source-pose", "map.png"),
        *("--pose", "standing", "--out", "out.png"),
    )
    assert done.returncode == 1
    assert "map.png has 176x256 pixels, its picture other.png 176x248" in done.stderr


def test_a_plain_folder_of_photos_is_prepared(mcld, in_process, tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    Image.fromarray(data.astronaut()).save(folder / "Me & you (1).PNG")
    Image.fromarray(data.coins()).save(folder / "coins.jpg")
    (folder / "notes.txt").write_text("none")
    done = mcld("prepare", "my photos")
    assert done.returncode == 0, done.stderr
    assert "no person was found" in done.stdout
    assert "Poses by the embedded estimator" in done.stdout
    assert (folder / "test_texture" / "Me & you (1).png").exists()
    assert (folder / "test_face" / "Me & you (1).npy").exists()
    report = json.loads((folder / "prepare-report.json").read_text())
    assert report["estimators"]["pose_estimator"] == "embedded"
    (tmp_path / "pretrained_weights").mkdir()  # they turn up later
    (tmp_path / "pretrained_weights" / "model_final_844d15.pkl").write_bytes(b"x")
    done = in_process("prepare", "my photos")
    assert done.returncode == 0, done.stderr
    done = in_process("prepare", "my photos", "--pose-estimator", "precomputed")
    assert done.returncode == 1
    assert "was prepared with pose_estimator=embedded, not precomputed" in done.stderr
    assert (folder / "split" / "PLAIN-FOLDER.txt").exists()


def test_a_stray_picture_does_not_make_a_dataset_plain(in_process, tmp_path):
    layout = prepare_mannequins(tmp_path / "own", 2, pictures=2, size=(64, 44), workers=1)
    layout.write_record({})  # as of an earlier version
    lists = layout.list_file("train").read_bytes()
    Image.fromarray(data.coins()).save(tmp_path / "own" / "out.png")
    done = in_process("prepare", "own", "--stages", "split,pose")
    assert done.returncode == 1
    assert "model_final_844d15.pkl are missing" in done.stderr
    assert layout.list_file("train").read_bytes() == lists
    done = in_process("prepare", "own", "--stages", "split,pose", "--dry-run")
    assert done.returncode == 1
    assert "model_final_844d15.pkl are missing" in done.stderr


def test_a_dataset_in_deepfashions_layout_is_never_read_by_less_in_silence(in_process, tmp_path):
    raw_folder(tmp_path / "fashion")
    done = in_process("prepare", "fashion", "--stages", "split,pose")
    assert done.returncode == 1
    assert "model_final_844d15.pkl are missing: mcld weights download densepose" in done.stderr
    assert "--pose-estimator embedded" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_doctor_says_what_is_there_and_what_would_help(in_process):
    done = in_process("doctor", "--json")
    found = {one["what"]: one for one in json.loads(done.stdout)["abilities"]}
    assert found["poses of photos"]["here"] == "the embedded reader of bodies"
    assert found["poses of photos"]["better"].endswith("mcld weights download densepose")
    assert "mcld weights download unet" in found["painting"]["better"]
