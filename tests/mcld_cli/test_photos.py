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
