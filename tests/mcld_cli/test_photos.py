"""Photos, and nothing prepared: DensePose reads them in the same environment as all else."""

import pickle

from PIL import Image

from tests.golden.densepose.weights import FOLDER, make_weights


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
