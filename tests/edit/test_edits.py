"""The one function that edits, on real people and the network that comes with mcld."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mcld.conditions import FocalConditions
from mcld.edit.edits import Edits, edit, edit_person, find_guesses
from mcld.edit.photo import MARGIN
from mcld.edit.texture import GROUPS, group_mask, sew
from mcld.errors import InputError, SettingsError
from mcld.networks.folders import load_pipeline
from mcld.person.reader import PersonReader
from mcld.pipeline import MCLDPipeline
from mcld.sampling.inputs import read_inputs
from mcld.sampling.paint import as_images, paint
from mcld.settings import load_settings
from mcld.surface.charts import smpl_labels

SEED = 3


@pytest.fixture(scope="module")
def embedded() -> MCLDPipeline:
    pipeline = load_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def made(pipeline, source, edits, strength=1.0) -> np.ndarray:
    (picture,) = edit(pipeline, source, edits, seed=SEED, strength=strength)
    return np.asarray(picture)


def test_without_an_edit_it_is_the_picture_that_sample_makes(embedded, alice):
    options = embedded.resolve_options()
    with torch.no_grad():
        conditions = embedded.conditions(read_inputs(embedded, [alice], alice.iuv, options))
    (sampled,) = as_images(paint(embedded, conditions, options, [SEED]))
    sampled = sampled.resize(alice.photo.size, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(made(embedded, alice, Edits()), np.asarray(sampled))


def test_another_persons_garment_changes_its_part_and_little_else(embedded, alice, bob):
    before = made(embedded, alice, Edits()).astype(float)
    after = made(embedded, alice, Edits(garments={"lower": bob})).astype(float)
    legs = np.isin(alice.iuv[..., 0], GROUPS["lower"])
    moved = np.abs(after - before).mean(axis=-1)
    assert moved[legs].mean() > 5 * moved[~legs].mean()
    wanted = np.asarray(edit_person(alice, Edits(garments={"lower": bob})).photo).astype(float)
    assert np.abs(after[legs] - wanted[legs]).mean() < np.abs(before[legs] - wanted[legs]).mean()


def test_a_face_brings_embedding_and_head(alice, bob):
    person = edit_person(alice, Edits(face=bob))
    np.testing.assert_array_equal(person.face, bob.face)
    both = [np.asarray(p.photo).astype(float) for p in (alice, person)]
    head = np.isin(alice.iuv[..., 0], GROUPS["head"])
    assert (both[0] != both[1])[head].any(axis=-1).mean() > 0.5
    np.testing.assert_array_equal(both[0][~head], both[1][~head])


def test_a_colour_reaches_the_picture(embedded, alice):
    edits = Edits(recolor={"upper": (20, 40, 200)})
    before, after = made(embedded, alice, Edits()), made(embedded, alice, edits)
    torso = np.isin(alice.iuv[..., 0], (1, 2))
    blueness = [p[torso].astype(float) @ (-0.5, -0.5, 1) for p in (before, after)]
    assert blueness[1].mean() > blueness[0].mean() + 20


@pytest.mark.parametrize("donors", [{}, {"lower": "bob"}, {"upper": "bob", "lower": "bob"}])
def test_edits_act_at_once_in_whichever_order_they_are_given(alice, bob, donors):
    colours = {"lower": (255, 255, 255), "upper": (255, 0, 0), "feet": (0, 0, 90)}
    garments = dict.fromkeys(donors, bob)
    pictures = [
        edit_person(alice, Edits(garments=dict(g), recolor=dict(c)))
        for g, c in (
            (garments.items(), colours.items()),
            (reversed(garments.items()), reversed(colours.items())),
        )
    ]
    for name in ("photo", "texture"):
        one, other = (np.asarray(getattr(picture, name)) for picture in pictures)
        np.testing.assert_array_equal(one, other)


def test_a_garment_is_recoloured_as_on_its_own_person(alice, bob):
    red = {"upper": (200, 0, 0)}
    dressed = edit_person(alice, Edits(garments={"upper": bob}, recolor=red))
    own = np.asarray(edit_person(bob, Edits(recolor=red)).texture)
    worn = np.asarray(dressed.texture)
    inside = (smpl_labels() == 2) & own.any(axis=-1)
    assert np.median(np.abs(worn[inside].astype(int) - own[inside])) <= 2


def test_one_colour_does_not_change_what_another_sees_as_cloth(alice):
    both = np.asarray(
        edit_person(alice, Edits(recolor={"lower": (255, 255, 255), "upper": (255, 0, 0)})).texture
    )
    for group, colour in (("lower", (255, 255, 255)), ("upper", (255, 0, 0))):
        alone = np.asarray(edit_person(alice, Edits(recolor={group: colour})).texture)
        inside = group_mask([group])
        np.testing.assert_array_equal(both[inside], alone[inside])


def test_a_new_pose_moves_the_person(embedded, alice, bob):
    moved = made(embedded, alice, Edits(pose=bob.iuv), strength=0.2)
    # Strength is for the photo's own pose: elsewhere the photo would shine through.
    np.testing.assert_array_equal(moved, made(embedded, alice, Edits(pose=bob.iuv)))
    assert moved.shape == np.asarray(alice.photo).shape


def test_a_strip_begins_with_the_person_and_ends_with_the_other(embedded, alice, bob):
    edits = Edits(interpolate=bob, amounts=(0.0, 0.5, 1.0))
    strip = [
        np.asarray(p).astype(float) for p in edit(embedded, alice, edits, seed=SEED, strength=1)
    ]
    # The rows of a batch round otherwise than one alone.
    assert np.abs(strip[0] - made(embedded, alice, Edits())).max() <= 2
    end = made(embedded, bob, Edits(pose=alice.iuv)).astype(float)
    distances = [np.abs(picture - end).mean() for picture in strip]
    assert distances[2] < distances[0]
    laid_on = [
        np.asarray(p).astype(float) for p in edit(embedded, alice, edits, seed=SEED, strength=0)
    ]
    halfway = np.abs(laid_on[1] - (laid_on[0] + laid_on[2]) / 2)
    assert halfway.mean() < 0.2 * np.abs(laid_on[0] - laid_on[2]).mean()


def test_every_picture_of_a_strip_is_decoded_with_its_own_texture(
    embedded, alice, bob, monkeypatch
):
    decode, warped = embedded.decode, []

    def watched(latents: torch.Tensor, conditions: FocalConditions) -> torch.Tensor:
        warped.append(conditions.warped)
        return decode(latents, conditions)

    monkeypatch.setattr(embedded, "decode", watched)
    edit(embedded, alice, Edits(interpolate=bob, amounts=(0.0, 0.5, 1.0)))
    first, middle, last = torch.cat(warped)
    both = (first.amax(dim=0) > 0) & (last.amax(dim=0) > 0)
    assert (first - last)[:, both].abs().mean() > 0.05
    assert (middle - (first + last) / 2)[:, both].abs().mean() < 0.02


def test_the_kept_background_is_the_photos_to_the_bit(embedded, alice, bob):
    edits = Edits(garments={"upper": bob}, keep="background")
    picture = made(embedded, alice, edits)
    rows, columns = np.nonzero(alice.iuv[..., 0])
    reach = int(2 * MARGIN * np.ptp(rows)) + 2
    outside = np.ones(alice.iuv.shape[:2], bool)
    outside[max(rows.min() - reach, 0) : rows.max() + reach, :][
        :, max(columns.min() - reach, 0) : columns.max() + reach
    ] = False
    assert outside.any()
    np.testing.assert_array_equal(picture[outside], np.asarray(alice.photo)[outside])


def test_in_another_pose_the_background_is_kept_as_weights_or_edit_say(embedded, alice, bob):
    assert embedded.config.keep == "background"
    usual, kept, none = (
        made(embedded, alice, Edits(pose=bob.iuv, keep=keep))
        for keep in (None, "background", "nothing")
    )
    np.testing.assert_array_equal(usual, kept)
    corner = np.asarray(alice.photo)[:4, :4].astype(int)
    assert np.abs(usual[:4, :4] - corner).max() <= 2
    assert not np.array_equal(usual, none)


def test_strength_0_is_the_photo_with_the_texture_laid_on(embedded, alice, bob):
    edits = Edits(garments={"upper": bob})
    picture = made(embedded, alice, edits, strength=0.0)
    np.testing.assert_array_equal(picture, np.asarray(edit_person(alice, edits).photo))


def test_painting_nothing_changes_nothing_and_painting_shows(alice):
    texture = np.asarray(alice.texture)
    same = edit_person(alice, Edits(texture=texture))
    assert same.photo.tobytes() == alice.photo.tobytes()
    painted = texture.copy()
    painted[texture.any(axis=-1)] = (250, 10, 10)
    red = np.asarray(edit_person(alice, Edits(texture=painted)).photo)
    body = alice.iuv[..., 0] > 0
    assert (red[body] == (250, 10, 10)).all(axis=-1).mean() > 0.9


def test_two_garments_of_one_donor_are_sewn_without_a_seam_between(alice, bob):
    again = replace(bob, name="bob, read again")
    both = Edits(garments={"upper": bob, "hands": again})
    texture = np.asarray(edit_person(alice, both).texture)
    pieces = [(np.asarray(bob.texture), group) for group in ("upper", "hands")]
    np.testing.assert_array_equal(texture, sew(np.asarray(alice.texture), pieces))
    alone = sew(np.asarray(alice.texture), pieces[:1])
    assert (texture != alone)[group_mask(["upper"])].any(), "the wrists would have a seam"


def test_a_donor_from_behind_is_said_to_be_mostly_guessed(dataset, alice, bob):
    assert find_guesses(alice, Edits(garments={"lower": bob, "head": bob})) == []
    backs = [p for s in ("train", "test") for p in dataset.image(s, "x").parent.iterdir()]
    back = next(p for p in backs if "3back" in p.stem)
    donor = PersonReader(load_settings(None, []).prepare, "cpu", print, "head_crop").person(back)
    (said,) = find_guesses(alice, Edits(garments={"head": donor}))
    assert "of what the picture does of a head: the rest is guessed" in said


def test_donors_that_do_not_show_what_is_asked_for_are_refused(alice, bob):
    blind = replace(bob, texture=Image.new("RGB", bob.texture.size), face=np.zeros(512, np.float32))
    for group, words in (("upper", "an upper body"), ("feet", "feet"), ("lower", "legs")):
        with pytest.raises(InputError, match=f"does not show {words}"):
            edit_person(alice, Edits(garments={group: blind}))
    with pytest.raises(InputError, match="no face is known of"):
        edit_person(alice, Edits(face=blind))


def test_what_cannot_be_is_refused(embedded, alice, bob):
    with pytest.raises(InputError, match="is 88x128 pixels: a texture map has 512x512"):
        Edits(texture=np.asarray(alice.photo))
    with pytest.raises(SettingsError, match="there is no part 'hat': there are head, upper"):
        Edits(garments={"hat": bob})
    with pytest.raises(SettingsError, match="brings its own head"):
        Edits(face=bob, garments={"head": alice})
    for amounts in ((), (1.5,), (0.0, -0.1)):
        with pytest.raises(SettingsError, match="give one or more from 0 to 1"):
            Edits(interpolate=bob, amounts=amounts)
    with pytest.raises(SettingsError, match="strength 3: give 0 to 1"):
        made(embedded, alice, Edits(), strength=3)
    large = replace(alice, photo=alice.photo.resize((4000, 3000)))
    with pytest.raises(InputError, match="a strip of 9 such pictures has 108 megapixels"):
        edit(embedded, large, Edits(interpolate=bob, amounts=(0.5,) * 9))
