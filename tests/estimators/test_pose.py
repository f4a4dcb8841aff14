"""Which estimator reads poses, and what is said where it cannot."""

import importlib.util
from pathlib import Path

import pytest

from mcld.errors import MCLDError, SettingsError, WeightsError
from mcld.estimators.pose import (
    check_pose_estimator,
    find_densepose_weights,
    name_densepose_files,
    open_pose_estimator,
)
from mcld.settings import PrepareSettings


def options(tmp_path: Path, **changes: object) -> PrepareSettings:
    return PrepareSettings(densepose_weights=tmp_path / "model.pkl", **changes)


def test_missing_weights_are_named_with_where_to_get_them(tmp_path):
    for read in (check_pose_estimator, lambda o: open_pose_estimator(o, "cpu")):
        with pytest.raises(WeightsError, match=r"model\.pkl are missing: mcld weights download"):
            read(options(tmp_path))


def test_converted_weights_are_found_beside_the_published_and_by_either_name(tmp_path):
    pickled, converted = tmp_path / "model.pkl", tmp_path / "model.safetensors"
    converted.touch()
    for name in (pickled, converted):
        asked = PrepareSettings(densepose_weights=name)
        assert find_densepose_weights(asked) == converted
        assert name_densepose_files(asked) == [pickled, converted]
    pickled.touch()
    for name in (pickled, converted):
        assert find_densepose_weights(PrepareSettings(densepose_weights=name)) == name


def test_a_name_that_is_no_file_is_told_at_once(tmp_path):
    for name in (Path(), Path("/")):
        with pytest.raises(SettingsError, match="names no file"):
            check_pose_estimator(PrepareSettings(densepose_weights=name))
    with pytest.raises(WeightsError, match="is a folder: name a file"):
        check_pose_estimator(PrepareSettings(densepose_weights=tmp_path))


def test_precomputed_maps_are_no_estimator(tmp_path):
    with pytest.raises(SettingsError, match="precomputed estimates none"):
        check_pose_estimator(options(tmp_path, pose_estimator="precomputed"))


def test_without_detectron2_the_commands_that_install_it_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MCLDError, match=r"--no-build-isolation.* or leave out --pose-estimator"):
        check_pose_estimator(options(tmp_path, pose_estimator="detectron2"))
