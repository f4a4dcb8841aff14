"""Folders of results as other projects name their files."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.results import RESULT_SIZES, result_file
from mcld.errors import InputError, SettingsError
from mcld.evaluate.layouts import LAYOUTS, PairNames, find_layout, parse_pattern, plain
from mcld.evaluate.metrics import psnr
from mcld.evaluate.pairs import resize
from mcld.evaluate.protocol import Protocol
from mcld.evaluate.request import EvaluationRequest, list_results
from mcld.evaluate.run import Evaluator
from mcld.evaluate.scores import Scores
from mcld.settings import load_settings
from tests.evaluate.test_run import results_of


@pytest.fixture
def results(dataset: DatasetLayout, tmp_path: Path) -> Path:
    return results_of(dataset, tmp_path / "results")


def list_pairs(dataset: DatasetLayout) -> list[tuple[str, str]]:
    return [(Path(a).stem, Path(b).stem) for a, b in dataset.pairs("test")]


def score(dataset: DatasetLayout, folder: Path, layout: str, *, panel: int | None = None) -> Scores:
    settings = load_settings(None, ["evaluate.metrics=[psnr,ssim]"])
    evaluator = Evaluator(
        settings, say=lambda _: None, on_picture=lambda *_: None, protocol=Protocol()
    )
    chosen = parse_pattern(layout) if "{" in layout else find_layout(layout, panel)
    return evaluator.score(EvaluationRequest("it", dataset.root, folder, layout=chosen))


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("cfld", "{}_2_{}.png"),
        ("nted", "{}_2_{}_vis.png"),
        ("pidm", "{}_2_{}_vis.png"),
        ("gfla", "{}_2_{}_vis.png"),
        ("dptn", "{}_2_{}_vis.png"),
        ("pcdms", "{}_to_{}.png"),
        ("leffa", "{}_to_{}.png"),
        ("flat", "{}.jpg___{}.jpg_vis.png"),
        ("{from}-then-{to}.png", "{}-then-{}.png"),
        ("out {to} of {from}!.png", "out {1} of {0}!.png"),
    ],
)
def test_results_in_the_naming_of_each_project_have_the_numbers_of_ours(
    dataset, results, tmp_path, layout, name
):
    expected = score(dataset, results, "mcld")
    theirs = tmp_path / "theirs"
    for folder in RESULT_SIZES:
        (theirs / f"at_{folder}_results").mkdir(parents=True)
        for source, target in list_pairs(dataset):
            shutil.copy(
                result_file(results, folder, source, target),
                theirs / f"at_{folder}_results" / name.format(source, target),
            )
    found = score(dataset, theirs, layout)
    for folder in RESULT_SIZES:
        assert found.sizes[folder].rows == expected.sizes[folder].rows
        assert not found.sizes[folder].missing


def test_names_in_deepfashions_own_spelling_are_those_of_the_flat_ones():
    flat = "fashionWOMENTees_Tanksid0000783805_7additional"
    for name in (
        "WOMEN/Tees_Tanks/id_00007838/05_7_additional.jpg",
        "WOMEN-Tees_Tanks-id_00007838-05_7_additional",
        "experiments/img_highres/WOMEN/Tees_Tanks/id_00007838/05_7_additional",
        "deepfashionWOMENTees_Tanksid0000783805_7additional.png",
    ):
        assert plain(name) == plain(flat)
    other = "fashionMENTees_Tanksid0000783805_7additional"
    assert plain(other) != plain(flat)
    assert plain("Anna_front.jpg") == "annafront"


def spell_as_deepfashion(stem: str) -> str:
    """fashionWOMENDollsid0000000501_1front -> WOMEN/Dolls/id_00000005/01_1_front"""
    found = re.fullmatch(r"fashion((?:WO)?MEN)(\w+?)id(\d{8})(\d\d)_(\d)(\w+)", stem)
    assert found
    gender, category, person, number, view, rest = found.groups()
    return f"{gender}/{category}/id_{person}/{number}_{view}_{rest}"


@pytest.mark.parametrize("sign", ["-", "/"])
def test_results_named_as_deepfashion_names_photos_are_found(dataset, results, tmp_path, sign):
    for source, target in list_pairs(dataset):
        names = [spell_as_deepfashion(stem).replace("/", sign) for stem in (source, target)]
        path = tmp_path / "theirs" / f"{names[0]}_2_{names[1].replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(result_file(results, "256", source, target), path)
    found = score(dataset, tmp_path / "theirs", "flat")
    assert not found.sizes["256"].missing
    assert found.sizes["256"].rows == score(dataset, results, "mcld").sizes["256"].rows


def test_a_separator_that_is_also_in_names_is_taken_where_both_sides_are_photos():
    one, two = "MEN-Denim-id_00000080-01_2_side", "MEN-Denim-id_00000080-02_2_side"
    splits = list(LAYOUTS["flat"].split(f"{one}_2_{two}"))
    assert len(splits) == 3
    assert (one, two) in splits


def test_sizes_are_told_by_the_pictures_where_no_folder_does(dataset, results, tmp_path):
    theirs = tmp_path / "all"
    for k, (source, target) in enumerate(list_pairs(dataset)):
        folder = ("256", "512")[k % 2]
        theirs.mkdir(exist_ok=True)
        shutil.copy(
            result_file(results, folder, source, target), theirs / f"{source}_2_{target}.png"
        )
    found = score(dataset, theirs, "flat")
    count = len(list_pairs(dataset))
    assert len(found.sizes["256"].rows) == (count + 1) // 2
    assert len(found.sizes["512"].rows) == count // 2


def join(pictures: list[np.ndarray]) -> Image.Image:
    return Image.fromarray(np.concatenate(pictures, axis=1))


@pytest.mark.parametrize(
    ("layout", "panel", "place", "count"),
    [("patn", None, 4, 5), ("side-by-side", None, 2, 3), ("side-by-side", 2, 1, 3)],
)
def test_a_result_is_cut_out_of_a_row_of_pictures(
    dataset, results, tmp_path, layout, panel, place, count
):
    expected = score(dataset, results, "mcld").sizes["256"].rows
    theirs = tmp_path / "rows"
    theirs.mkdir()
    for source, target in list_pairs(dataset):
        row = [np.full((256, 176, 3), 40 * k, np.uint8) for k in range(count)]
        row[place] = read_image(result_file(results, "256", source, target))
        join(row).save(theirs / f"{source}.jpg___{target}.jpg_vis.png")
    found = score(dataset, theirs, layout, panel=panel)
    assert found.sizes["256"].rows == expected


def test_a_row_that_has_no_such_picture_is_refused_by_its_name(dataset, results, tmp_path):
    source, target = list_pairs(dataset)[0]
    other = list_pairs(dataset)[1]
    rows = tmp_path / "rows"
    rows.mkdir()
    picture = read_image(result_file(results, "256", source, target))
    join([picture] * 2).save(rows / f"{source}_2_{target}.png")
    join([picture] * 3).save(rows / f"{other[0]}_2_{other[1]}.png")
    found = score(dataset, rows, "side-by-side", panel=3)
    assert list(found.sizes["256"].refused.values()) == [
        "it has 2 pictures side by side, and --panel asks for another"
    ]


def test_a_row_that_narrow_pictures_and_squares_fill_alike_is_refused(dataset, tmp_path):
    source, target = list_pairs(dataset)[0]
    row = Image.new("RGB", (11 * 256, 256))
    row.save(tmp_path / f"{source}_2_{target}.png")
    with pytest.raises(InputError, match="a row of 16 narrow pictures or of 11 squares"):
        score(dataset, tmp_path, "side-by-side")


def test_squares_are_squeezed_pictures_and_made_narrow(dataset, results, tmp_path):
    squares = tmp_path / "squares"
    squares.mkdir()
    for source, target in list_pairs(dataset):
        with Image.open(result_file(results, "256", source, target)) as picture:
            wide = picture.resize((256, 256), Image.Resampling.BICUBIC)
        wide.save(squares / f"{source}_2_{target}_vis.png")
    found = score(dataset, squares, "pidm").sizes["256"]
    assert not found.refused
    for source, target in list_pairs(dataset):
        narrow = resize(read_image(squares / f"{source}_2_{target}_vis.png"), (256, 176))
        truth = resize(read_image(dataset.image("test", target)), (256, 176))
        assert found.rows[f"{source}_2_{target}.png"]["psnr"] == psnr(narrow, truth)


def test_a_folder_whose_name_has_another_number_does_not_change_the_size(
    dataset, results, tmp_path
):
    theirs = tmp_path / "theirs"
    shutil.copytree(results / "256", theirs / "epoch_512")
    expected = score(dataset, results, "mcld").sizes["256"].values
    found = score(dataset, theirs, "flat")
    assert list(found.sizes) == ["256"]
    assert found.sizes["256"].values == expected


def test_one_picture_of_a_wrong_size_among_sized_folders_is_refused_alone(
    dataset, results, tmp_path
):
    theirs = tmp_path / "theirs"
    shutil.copytree(results, theirs)
    source, target = list_pairs(dataset)[0]
    name = f"{source}_2_{target}.png"
    shutil.copy(theirs / "256" / name, theirs / "512" / name)
    found = score(dataset, theirs, "flat").sizes
    assert found["512"].refused == {name: "it is 176x256, not 352x512"}
    assert not found["256"].refused


def test_what_belongs_to_no_pair_is_counted_and_named(dataset, results, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    source, target = list_pairs(dataset)[0]
    file = result_file(results, "256", source, target)
    for name in (f"{source}_2_{target}.png", f"{target}_2_{target}.png", "grid.png", ".hidden.png"):
        shutil.copy(file, theirs / name)
    request = EvaluationRequest("it", dataset.root, theirs, layout=LAYOUTS["flat"])
    listing = list_results(request)["256"]
    assert listing.present == [f"{source}_2_{target}.png"]
    assert listing.others == sorted([f"{target}_2_{target}.png", "grid.png"])
    notes = score(dataset, theirs, "flat").list_notes()
    assert any("ignored: 2, such as" in note and "grid.png" in note for note in notes)


def test_a_picture_of_a_pair_that_is_of_no_size_is_told_what_is_wrong_with_it(
    dataset, results, tmp_path
):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    pairs = list_pairs(dataset)
    for source, target in pairs:
        Image.new("RGB", (300, 300)).save(theirs / f"{source}_to_{target}.png")
    with pytest.raises(InputError, match=r"_to_.*\.png: it is 300x300, not 176x256"):
        score(dataset, theirs, "pcdms")
    names = [theirs / f"{source}_to_{target}.png" for source, target in pairs[:3]]
    shutil.copy(result_file(results, "256", *pairs[0]), names[0])
    names[1].write_bytes(b"")
    names[2].unlink()
    names[2].mkdir()
    found = score(dataset, theirs, "pcdms")
    assert found.sizes.keys() == {"256"}
    assert len(found.sizes["256"].rows) == 1
    assert not found.sizes["256"].missing
    assert not found.sizes["256"].others
    told = list(found.sizes["256"].refused.values())
    assert f"{names[1]} is empty" in told
    assert f"{names[2]} is a folder, not a picture" in told
    (theirs / "again").mkdir()
    (theirs / "again" / names[0].name).touch()
    request = EvaluationRequest("it", dataset.root, theirs, layout=LAYOUTS["pcdms"])
    assert list_results(request)["256"].others == [f"again/{names[0].name}"]


def test_two_files_of_a_pair_and_a_folder_without_any_are_refused(dataset, results, tmp_path):
    source, target = list_pairs(dataset)[0]
    file = result_file(results, "256", source, target)
    for folder in ("a", "b"):
        (tmp_path / "both" / folder).mkdir(parents=True)
        shutil.copy(file, tmp_path / "both" / folder / f"{source}_2_{target}.png")
    with pytest.raises(InputError, match="are both the result of one pair at 256"):
        score(dataset, tmp_path / "both", "flat")
    with pytest.raises(InputError, match="none of 2 pictures there, such as a/"):
        score(dataset, tmp_path / "both", "pcdms")
    with pytest.raises(InputError, match="nowhere is no folder"):
        score(dataset, tmp_path / "nowhere", "pcdms")


def test_a_layout_or_a_pattern_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="there are mcld, cfld"):
        find_layout("mine")
    with pytest.raises(SettingsError, match="with --layout side-by-side"):
        find_layout("pidm", 2)
    for pattern in (
        "{from}.png",
        "{from}{to}.png",
        "{from}_{from}.png",
        "{to}{from}_{to}.png",
        "plain",
    ):
        with pytest.raises(SettingsError, match=r"give \{from\} and \{to\}"):
            parse_pattern(pattern)


def test_a_pattern_may_name_the_target_first():
    layout = parse_pattern("{to}<-{from}.jpg")
    assert list(layout.split("b<-a")) == [("a", "b")]
    assert PairNames("a", "b") == next(layout.split("b<-a"))
