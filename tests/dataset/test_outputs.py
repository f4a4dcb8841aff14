"""Where pictures go: nowhere that is an input."""

import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.outputs import check_outputs
from mcld.errors import MCLDError, SettingsError


@pytest.fixture
def stem(dataset: DatasetLayout) -> str:
    return dataset.names("test")[0].removesuffix(".jpg")


def test_a_new_file_may_be_written(dataset, stem, tmp_path):
    check_outputs("--out", [tmp_path / "new" / "out.png"], [dataset.image("test", stem)])
    check_outputs("--out", [dataset.root / "out.png", dataset.root / "runs" / "1"])


def test_an_input_is_not_written_over(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    for out in (tmp_path / "a.png", tmp_path / "b" / ".." / "a.png", tmp_path / "link.png"):
        with pytest.raises(SettingsError, match=r"--out: .* is what the result is made from"):
            check_outputs("--out", [tmp_path / "fine.png", out], [tmp_path / "a.png"])


def test_what_lies_beside_a_prepared_picture_is_not_written_over(dataset, stem, tmp_path):
    linked = tmp_path / "test" / f"{stem}.jpg"
    linked.parent.mkdir()
    linked.symlink_to(dataset.image("test", stem))
    for source in (dataset.image("test", stem), linked):
        for out in (dataset.texture("test", stem), dataset.densepose("test", stem)):
            with pytest.raises(SettingsError, match="is what the result is made from"):
                check_outputs("--out", [out], [source])


def test_a_datasets_own_folders_take_nothing_new(dataset):
    for place in ("test/new.png", "train_texture/deep/new.png", "split", "test_face/x.npy"):
        with pytest.raises(SettingsError, match="among the files of the prepared dataset"):
            check_outputs("--out", [dataset.root / place])


def test_folders_of_the_same_names_elsewhere_are_free(tmp_path):
    check_outputs("--out", [tmp_path / "test" / "out.png", tmp_path / "split" / "out.png"])


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MCLDError, match="cannot write"):
        check_outputs("--out", [tmp_path / "file" / "out.png"])
