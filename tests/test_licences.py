"""What may not be used commercially is refused where it would be used, and the page says so."""

import shutil
from pathlib import Path

import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.errors import WeightsError
from mcld.estimators.body.estimator import EmbeddedPose
from mcld.estimators.face import face_pack
from mcld.estimators.pose import check_pose_estimator, open_pose_estimator
from mcld.evaluate.networks import find_torchvision_file
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.run import Evaluator
from mcld.evaluate.scores import Scores
from mcld.licences import LICENCES, UV_NOTICE
from mcld.networks.folders import load_weights
from mcld.networks.places import EMBEDDED
from mcld.person.prepared import check_prepared
from mcld.person.reader import PersonReader
from mcld.prepare.dataset import PrepareRequest, prepare_dataset
from mcld.prepare.readers import choose_readers
from mcld.sample.request import SplitRequest
from mcld.sample.split import sample_split
from mcld.settings import PrepareSettings, load_settings
from mcld.studio.machine import EXAMPLES
from mcld.train.loop import train
from mcld.weights.catalogue import catalogue
from tests.evaluate.test_run import results_of

PAGE = (Path(__file__).parents[1] / "docs" / "licences.md").read_text("utf-8")
COMMERCIAL = ["prepare.commercial=true"]


@pytest.mark.parametrize("name", LICENCES)
def test_the_page_says_of_everything_what_the_table_says(name):
    licence = LICENCES[name]
    facts = (licence.what, licence.code, licence.weights, f"**{licence.commercial}**")
    assert f"| `{name}` | {' | '.join(facts)} | {licence.stated} |" in PAGE
    assert f"- `{name}`: {licence.why}." in PAGE


def test_what_is_refused_can_be_done_without_and_what_is_not_is_not_explained():
    for name, licence in LICENCES.items():
        assert bool(licence.explain_refusal()) == (licence.commercial != "yes")
        assert bool(licence.instead) == (licence.commercial != "yes" and name != "uv-tables")


def test_of_everything_that_is_downloaded_the_licence_is_in_the_table():
    assert all(item.licence in LICENCES.values() for item in catalogue(load_settings()))


def test_densepose_is_refused_by_name_and_left_alone_without(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"weights")
    unnamed = PrepareSettings(commercial=True)
    assert isinstance(open_pose_estimator(unnamed, "cpu"), EmbeddedPose)
    for asked in (
        PrepareSettings(commercial=True, pose_estimator="densepose"),
        PrepareSettings(commercial=True, densepose_weights=tmp_path / "model.pkl"),
    ):
        with pytest.raises(WeightsError, match=r"DensePose.* unclear .*--pose-estimator embedded"):
            check_pose_estimator(asked)
    check_pose_estimator(PrepareSettings(densepose_weights=tmp_path / "model.pkl"))


def test_a_face_pack_that_is_there_is_refused_and_a_folder_of_photos_goes_by_heads(tmp_path):
    pack = tmp_path / "models" / "antelopev2"
    pack.mkdir(parents=True)
    (pack / "x.onnx").write_bytes(b"network")
    free = PrepareSettings(insightface_root=tmp_path)
    bound = free.model_copy(update={"commercial": True})
    assert face_pack(free, "antelopev2") == pack
    with pytest.raises(WeightsError, match=r"insightface.*not for commercial use.*head crop"):
        face_pack(bound, "antelopev2")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "me.jpg").write_bytes(b"photo")
    request = PrepareRequest(photos)
    assert choose_readers(request, free).face_embedder == "arcface"
    assert choose_readers(request, bound).face_embedder == "head_crop"


def test_a_reader_of_people_says_what_nothing_can_be_refused_for(tmp_path):
    said: list[str] = []
    PersonReader(PrepareSettings(), "cpu", said.append)
    assert said == []
    PersonReader(PrepareSettings(commercial=True), "cpu", said.append)
    assert said == [UV_NOTICE]


def test_what_would_be_refused_is_not_recommended():
    said: list[str] = []
    reader = PersonReader(PrepareSettings(commercial=True), "cpu", said.append, "head_crop")
    reader.person(next(EXAMPLES.glob("*.jpg")))
    assert "Poses are read by the embedded reader of bodies." in said
    assert not [line for line in said if "DensePose's weights" in line]


def test_deepfashion_is_refused(tmp_path):
    (tmp_path / "WOMEN").mkdir()
    options = PrepareSettings(commercial=True, pose_estimator="embedded")
    with pytest.raises(WeightsError, match=r"DeepFashion.*not for commercial use.*--mannequins"):
        prepare_dataset(PrepareRequest(tmp_path), options, lambda *_: None)


def test_networks_that_score_are_refused(tmp_path):
    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes(b"network")
    where = [f"sample.pretrained={tmp_path}"]
    find_torchvision_file("alexnet", load_settings(overrides=where))
    with pytest.raises(WeightsError, match=r"VGG16: unclear .*--metrics psnr"):
        find_torchvision_file("alexnet", load_settings(overrides=[*where, *COMMERCIAL]))


@pytest.mark.parametrize("name", ["checkpoints/denoising_unet.pth", "other/image_proj_model.pth"])
def test_the_authors_network_is_refused_where_it_is_known(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir()
    Path(name).write_bytes(b"weights")
    with pytest.raises(WeightsError, match=r"paper's authors: unclear .*mcld train"):
        load_weights(Path(name).parent, load_settings(overrides=COMMERCIAL))
    with pytest.raises(WeightsError, match="which need the autoencoder"):
        load_weights(Path(name).parent, load_settings())


def test_ones_own_network_is_taken():
    load_weights(EMBEDDED, load_settings(overrides=COMMERCIAL))


PREPARED = (
    ({"pose_estimator": "densepose", "face_embedder": "head_crop"}, "DensePose"),
    ({"pose_estimator": "embedded", "face_embedder": "arcface"}, "insightface"),
    ({}, "insightface"),
    ({"pose_estimator": "embedded", "face_embedder": "head_crop"}, None),
)


@pytest.mark.parametrize(("record", "refused"), PREPARED)
def test_a_dataset_that_others_networks_read_is_refused(tmp_path, record, refused):
    layout, said = DatasetLayout(tmp_path), list[str]()
    layout.write_record(record)
    check_prepared(layout, PrepareSettings(), said.append, faces=True)
    assert said == []
    bound = PrepareSettings(commercial=True)
    if refused is None:
        check_prepared(layout, bound, said.append, faces=True)
        assert said == [UV_NOTICE]
    else:
        with pytest.raises(WeightsError, match=f"{tmp_path} was prepared with {refused}"):
            check_prepared(layout, bound, said.append, faces=True)


@pytest.fixture
def densepose_read(dataset, tmp_path) -> DatasetLayout:
    """A copy of the dataset that says that DensePose and insightface read it."""
    shutil.copytree(dataset.root, tmp_path / "own")
    layout = DatasetLayout(tmp_path / "own")
    layout.write_record({"pose_estimator": "densepose", "face_embedder": "arcface"})
    return layout


def test_maps_that_densepose_read_are_not_scored_by(densepose_read, tmp_path):
    results = results_of(densepose_read, tmp_path / "results")
    request = EvaluationRequest("it", densepose_read.root, results)

    def evaluate(metric: str) -> Scores:
        settings = load_settings(None, [*COMMERCIAL, f"evaluate.metrics=[{metric}]"])
        return Evaluator(settings, say=print, on_picture=lambda *_: None).score(request)

    with pytest.raises(WeightsError, match=r"nothing is measured.* was prepared with DensePose"):
        evaluate("texture")
    sizes = evaluate("psnr,texture").sizes
    assert all({"psnr"} <= at.values.keys() and "texture" in at.left_out for at in sizes.values())


def test_people_and_poses_that_densepose_read_are_not_painted(densepose_read):
    options = PrepareSettings(commercial=True)
    reader = PersonReader(options, "cpu", print, "head_crop")
    picture = densepose_read.image("test", Path(densepose_read.names("test")[0]).stem)
    for read in (reader.person, reader.pose):
        with pytest.raises(WeightsError, match="was prepared with DensePose"):
            read(picture)
    densepose_read.write_record({"pose_estimator": "embedded", "face_embedder": "arcface"})
    assert reader.person(picture).has_face  # by the head crop: insightface's is not read
    reader.pose(picture)
    with pytest.raises(WeightsError, match="was prepared with insightface"):
        PersonReader(options, "cpu", print).person(picture)


def test_a_split_that_densepose_read_is_not_sampled_nor_trained_on(densepose_read, tmp_path, tiny):
    request = SplitRequest(densepose_read.root, "test", tmp_path / "out")
    silent = {"say": print, "on_picture": lambda *_: None}
    with pytest.raises(WeightsError, match="was prepared with DensePose"):
        sample_split(request, load_settings(overrides=COMMERCIAL), **silent)
    assert not (tmp_path / "out").exists()
    own = tiny.train.model_copy(update={"dataset": densepose_read.root})
    bound = {"train": own, "prepare": PrepareSettings(commercial=True)}
    with pytest.raises(WeightsError, match="was prepared with DensePose"):
        train(tiny.model_copy(update=bound), resume=False, report=print, say=print)


def test_a_split_is_sampled_with_the_notice(dataset, tmp_path):
    said: list[str] = []
    request = SplitRequest(dataset.root, "test", tmp_path / "out", limit=1)
    settings = load_settings(overrides=[*COMMERCIAL, "sample.num_inference_steps=1"])
    sample_split(request, settings, say=said.append, on_picture=lambda *_: None)
    assert said.count(UV_NOTICE) == 1
