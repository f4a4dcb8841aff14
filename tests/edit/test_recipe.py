"""Many edits, from a YAML list."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import mcld.edit.recipe
import mcld.sampling.run
from mcld.dataset.layout import DatasetLayout
from mcld.edit.picture import draw_guide_layer, edit_picture, export_texture
from mcld.edit.recipe import edit_recipe
from mcld.edit.request import ExportRequest, parse_edit_request, read_recipe
from mcld.errors import MCLDError, SettingsError
from mcld.machine.files import write_whole
from mcld.settings import load_settings
from tests.edit.conftest import fronts


@pytest.fixture
def photos(dataset) -> list[str]:
    return [str(path) for path in fronts(dataset)]


@pytest.fixture
def recipe(photos, tmp_path) -> Path:
    alice, bob = photos[:2]
    return written(
        tmp_path / "edits.yaml",
        [
            {"source": alice, "out": "1.png", "upper": bob},
            {"source": bob, "out": "deep/2.png", "recolor": ["upper=#204080", "lower=red"]},
            {"source": alice, "out": "3.png", "interpolate": bob, "amount": "0:1:3", "seed": 5},
            {"source": alice, "out": "4.png", "face": bob, "keep": "background"},
        ],
    )


def written(path: Path, edits: list[dict]) -> Path:
    for edit in edits:
        edit["out"] = str(path.parent / "made" / edit["out"])
    path.write_text(yaml.safe_dump(edits))
    return path


def run(recipe: Path, *overrides: str) -> tuple[list[str], list[tuple[int, int]]]:
    said: list[str] = []
    told: list[tuple[int, int]] = []
    settings = load_settings(None, list(overrides))
    requests = read_recipe(recipe)
    edit_recipe(
        recipe,
        requests,
        None,
        settings,
        say=said.append,
        on_done=lambda *count: told.append(count),
    )
    return said, told


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.png"))}


@pytest.mark.parametrize(("overrides", "threads"), [((), 1), (("sample.threads=3",), 3)])
def test_a_picture_of_many_is_computed_in_one_thread_or_as_many_as_asked(
    recipe, monkeypatch, overrides, threads
):
    seen = set()
    for module, name in ((mcld.sampling.run, "paint"), (mcld.edit.recipe, "finish")):
        plain = getattr(module, name)

        def look(*given, plain=plain, **named):
            seen.add(torch.get_num_threads())
            return plain(*given, **named)

        monkeypatch.setattr(module, name, look)
    run(recipe, *overrides)
    assert seen == {threads}


def test_the_picture_of_a_recipe_is_that_of_the_command(photos, tmp_path):
    alice, bob = photos[:2]
    edit = {"source": alice, "out": "1.png", "upper": bob, "pose": bob, "seed": 3}
    recipe = written(tmp_path / "edits.yaml", [edit])
    run(recipe, "sample.threads=2")
    made = tmp_path / "made" / "1.png"
    content = made.read_bytes()
    made.unlink()
    (request,) = read_recipe(recipe)
    settings = load_settings(None, ["sample.threads=2"])
    edit_picture(request, None, settings, say=print, on_step=lambda *_: None)
    assert made.read_bytes() == content


def test_every_edit_has_its_picture_and_a_second_run_makes_only_what_is_missing(recipe, photos):
    _, told = run(recipe)
    assert told[-1] == (4, 4)
    made = recipe.parent / "made"
    first = contents(made)
    assert set(first) == {"1.png", "deep/2.png", "3.png", "4.png"}
    with Image.open(photos[0]) as photo, Image.open(made / "3.png") as strip:
        assert strip.size == (3 * photo.width, photo.height)
    (made / "1.png").unlink()
    stamp = (made / "4.png").stat().st_mtime_ns
    said, told = run(recipe)
    assert told[-1] == (1, 1)
    assert "3 of 4 pictures are there already" in said
    assert contents(made) == first
    assert (made / "4.png").stat().st_mtime_ns == stamp


def test_an_edit_of_a_recipe_is_the_one_of_the_command_line(recipe, photos, tmp_path):
    run(recipe)
    alice, bob = photos[:2]
    request = parse_edit_request(
        {"source": alice, "face": bob, "keep": "background", "out": str(tmp_path / "one.png")}, ""
    )
    edit_picture(
        request, None, load_settings(None, []), say=print, on_step=lambda _done, _total: None
    )
    many, one = (Image.open(p) for p in (recipe.parent / "made" / "4.png", tmp_path / "one.png"))
    with many, one:
        difference = np.asarray(many).astype(float) - np.asarray(one)
    # In one thread a matrix product may round otherwise than in two, up or down.
    assert np.abs(difference).max() <= 2
    assert np.abs(difference).mean() < 0.05


def test_what_is_guessed_of_a_donor_is_said_of_one_edit_and_in_a_recipe(dataset, photos, tmp_path):
    backs = [p for s in ("train", "test") for p in dataset.image(s, "x").parent.iterdir()]
    back = next(str(p) for p in backs if "3back" in p.stem)
    edit = {"source": photos[0], "head": back, "out": str(tmp_path / "one.png")}
    said: list[str] = []
    settings = load_settings(None, [])
    edit_picture(
        parse_edit_request(edit, ""), None, settings, say=said.append, on_step=lambda *_: None
    )
    in_recipe, _ = run(written(tmp_path / "edits.yaml", [{**edit, "out": "1.png"}]))
    for lines in (said, in_recipe):
        assert sum(line.endswith("of a head: the rest is guessed") for line in lines) == 1


def test_the_photos_of_a_source_are_gathered_in_a_recipe_as_on_the_command_line(dataset, tmp_path):
    photos = [str(dataset.image("test", Path(name).stem)) for name in dataset.names("test")[:2]]
    edits = [
        {"source": photos, "out": "both.png", "recolor": ["upper=red"]},
        {"source": photos[0], "out": "one.png", "recolor": ["upper=red"]},
    ]
    run(written(tmp_path / "edits.yaml", edits))
    request = parse_edit_request(
        {"source": photos, "out": str(tmp_path / "c.png"), "recolor": ["upper=red"]}, ""
    )
    settings = load_settings(None, [])
    edit_picture(request, None, settings, say=lambda _: None, on_step=lambda *_: None)
    both, one, command = (
        np.asarray(Image.open(path)).astype(int)
        for path in (tmp_path / "made/both.png", tmp_path / "made/one.png", tmp_path / "c.png")
    )
    assert np.abs(both - command).max() <= 2  # in one thread sums may round otherwise
    assert np.abs(both - one).max() > 8


def test_an_edit_may_have_a_seed_of_its_own(photos, tmp_path):
    edits = [{"source": photos[0], "out": f"{seed}.png", "seed": seed} for seed in (1, 2)]
    run(written(tmp_path / "edits.yaml", edits), "edit.strength=1")
    pixels = [np.asarray(Image.open(tmp_path / "made" / f"{seed}.png")) for seed in (1, 2)]
    assert not np.array_equal(*pixels)


def test_the_proportions_of_a_pose_are_part_of_an_edit(photos, tmp_path):
    edits = [
        {"source": photos[0], "out": "1.png", "recolor": ["upper=red"]},
        {"source": photos[0], "out": "2.png", "pose": photos[1]},
    ]
    recipe = written(tmp_path / "edits.yaml", edits)
    run(recipe)
    other = r"2\.png is another picture than this edit's, by fit_body"
    with pytest.raises(SettingsError, match=other):
        run(recipe, "prepare.fit_body=true")
    posed = recipe.parent / "made" / "2.png"
    natural = np.asarray(Image.open(posed))
    posed.unlink()
    run(recipe, "prepare.fit_body=true")  # the edit without a pose is done
    assert not np.array_equal(np.asarray(Image.open(posed)), natural)


def test_what_is_kept_is_part_of_an_edit(photos, tmp_path):
    edits = [{"source": photos[0], "out": "1.png", "pose": photos[1], "keep": "nothing"}]
    recipe = written(tmp_path / "edits.yaml", edits)
    run(recipe)
    recipe.write_text(recipe.read_text().replace("keep: nothing", "keep: background"))
    with pytest.raises(SettingsError, match="is another picture than this edit's, by keep"):
        run(recipe)


def test_a_picture_of_another_edit_is_never_overwritten(recipe):
    run(recipe)
    before = contents(recipe.parent)
    with pytest.raises(SettingsError, match="is another picture than this edit's, by seed: remove"):
        run(recipe, "sample.seed=9")
    assert contents(recipe.parent) == before


def test_a_file_that_changed_since_is_noticed(photos, tmp_path):
    settings = load_settings(None, [])
    texture = tmp_path / "t.png"
    export_texture(ExportRequest((Path(photos[0]),), texture), settings, say=print)
    edits = [{"source": photos[0], "out": "1.png", "texture": str(texture)}]
    recipe = written(tmp_path / "edits.yaml", edits)
    run(recipe)
    before = contents(tmp_path / "made")
    Image.new("RGB", (512, 512), "red").save(texture)
    with pytest.raises(SettingsError, match=r"another picture than this edit's, by files: remove"):
        run(recipe)
    (tmp_path / "made" / "1.png").unlink()
    run(recipe)
    assert contents(tmp_path / "made") != before


def test_an_edit_may_have_a_strength_of_its_own(photos, tmp_path):
    edits = [
        {"source": photos[0], "out": "own.png", "recolor": "upper=red", "strength": "0"},
        {"source": photos[0], "out": "set.png", "recolor": "upper=red"},
    ]
    run(written(tmp_path / "edits.yaml", edits), "edit.strength=1")
    records = {}
    for name in ("own", "set"):
        with Image.open(tmp_path / "made" / f"{name}.png") as picture:
            records[name] = json.loads(picture.text["mcld"])["strength"]
    assert records == {"own": 0, "set": 1}


def test_what_is_not_its_own_is_left_alone_and_no_lock_is_left(recipe):
    run(recipe)
    made = recipe.parent / "made"
    (made / "1.png").unlink()
    others = [made / ".mcld-other.png", made / "deep" / ".mcld-folder" / "model"]
    others[1].parent.mkdir()
    for path in others:
        path.touch()
    with write_whole(made / "1.png") as unfinished:  # as a killed run leaves it
        run(recipe)
        assert not unfinished.exists()
        unfinished.write_bytes((made / "1.png").read_bytes())
    assert all(path.exists() for path in others)
    assert not list(recipe.parent.rglob("*.lock"))


def test_painting_with_transparency_is_painting_there_alone(photos, tmp_path):
    layer = Image.new("RGBA", (512, 512), (255, 255, 255, 0))
    layer.paste((250, 10, 10, 255), (0, 220, 310, 460))
    layer.save(tmp_path / "t.png")
    request = parse_edit_request(
        {"source": photos[0], "texture": tmp_path / "t.png", "out": str(tmp_path / "o.png")}, ""
    )
    edit_picture(
        request,
        None,
        load_settings(None, ["edit.strength=0"]),
        say=print,
        on_step=lambda _done, _total: None,
    )
    with Image.open(tmp_path / "o.png") as picture, Image.open(photos[0]) as photo:
        after, before = np.asarray(picture), np.asarray(photo.convert("RGB"))
    red = (after == (250, 10, 10)).all(axis=-1)
    assert red.mean() > 0.02
    np.testing.assert_array_equal(after[~red], before[~red])


def test_an_edit_that_cannot_be_made_stops_no_other(recipe, photos, tmp_path):
    gone = tmp_path / "gone.jpg"
    entries = yaml.safe_load(recipe.read_text())
    entries[1]["source"] = str(gone)
    recipe.write_text(yaml.safe_dump(entries))
    with pytest.raises(
        MCLDError, match=r"1 of 4 edits could not be made; the first: .*gone\.jpg does not"
    ):
        run(recipe)
    assert set(contents(recipe.parent / "made")) == {"1.png", "3.png", "4.png"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a list of edits"),
        ("source: a.jpg", "must be a list of edits"),
        ("- {source: a.jpg, out: [}", "not YAML"),
        ("- {source: a.jpg, out: a.png, upper: b.jpg, upper: c.jpg}", "upper is given twice"),
        ("- {source: a.jpg, out: a.png, seed: 2024-13-45}", "seed cannot be '2024-13-45'"),
        (
            "- {source: a.jpg, out: a.png, interpolate: b.jpg, amount: 1:0:99}",
            "edit 1: --amount 1:0:99: give one number",
        ),
        (
            "- {source: a.jpg, out: a.png}\n- {source: b.jpg, out: a.png}",
            "edits 1 and 2 both write",
        ),
        (
            "- {source: a.png, out: b.png}\n- {source: b.png, out: c.png}",
            "b.png is what the result is made from",
        ),
        ("- {source: a.jpg, out: a.png, shirt: b.jpg}", "edit 1: there is no shirt"),
    ],
)
def test_a_recipe_that_is_none_is_said_to_be_none(text, said, tmp_path):
    path = tmp_path / "edits.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_recipe(path)
    with pytest.raises(SettingsError, match="no such file; --recipe takes a YAML file"):
        read_recipe(tmp_path / "none.yaml")


def test_a_sheet_and_a_texture_to_paint_on(photos, tmp_path):
    settings = load_settings(None, [])
    alice, bob = photos[:2]
    request = parse_edit_request(
        {"source": alice, "upper": bob, "out": str(tmp_path / "o.png")}, ""
    )
    written = edit_picture(
        request, None, settings, sheet=True, say=print, on_step=lambda _done, _total: None
    )
    assert [path.name for path in written] == ["o.png", "o-sheet.png"]
    files = export_texture(ExportRequest((Path(alice),), tmp_path / "t.png"), settings, say=print)
    assert [path.name for path in files] == ["t.png", "t-guide.png"]
    with Image.open(files[1]) as guide:
        assert (guide.mode, guide.size) == ("RGBA", (512, 512))
        assert guide.tobytes() == draw_guide_layer().tobytes()
    # What was exported and not painted on changes nothing.
    pictures = []
    for name, edits in (("a.png", {}), ("b.png", {"texture": str(files[0])})):
        request = parse_edit_request({"source": alice, "out": str(tmp_path / name), **edits}, "")
        edit_picture(request, None, settings, say=print, on_step=lambda _done, _total: None)
        with Image.open(tmp_path / name) as picture:
            pictures.append(picture.tobytes())
    assert pictures[0] == pictures[1]


def test_what_an_edit_reads_is_never_overwritten(dataset, tmp_path):
    own = shutil.copytree(dataset.root, tmp_path / "own")
    alice, bob = (own / path.relative_to(dataset.root) for path in fronts(dataset)[:2])
    found = DatasetLayout.beside(alice)
    assert found
    layout, *picture = found
    for out in (layout.texture(*picture), layout.densepose(*picture)):
        request = parse_edit_request({"source": alice, "upper": bob, "out": out}, "")
        with pytest.raises(SettingsError, match="is what the result is made from"):
            request.check_files(load_settings(None, []).prepare, sheet=False)
        with pytest.raises(SettingsError, match="is what the result is made from"):
            ExportRequest((alice,), out)
        recipe = tmp_path / "edits.yaml"
        entries = [
            {"source": str(bob), "out": str(out)},
            {"source": str(alice), "out": str(tmp_path / "o.png")},
        ]
        recipe.write_text(yaml.safe_dump(entries))
        with pytest.raises(SettingsError, match="is what the result is made from"):
            read_recipe(recipe)


def test_several_processes_make_what_one_does(mcld, recipe, tmp_path):
    run(recipe)
    one = contents(recipe.parent / "made")
    shutil.rmtree(recipe.parent / "made")
    done = mcld("edit", "--recipe", str(recipe), "--processes", "2", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert contents(recipe.parent / "made") == one
    assert not list((recipe.parent / "made").rglob(".mcld-*"))
