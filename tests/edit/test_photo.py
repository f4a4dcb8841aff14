"""Edits brought back onto the photo."""

import numpy as np

from mcld.edit.photo import MARGIN, keep_background, rewarp, tint
from mcld.edit.texture import GROUPS, sew


def test_an_edit_that_changes_nothing_gives_the_photo_back(alice):
    texture, photo = np.asarray(alice.texture), np.asarray(alice.photo)
    np.testing.assert_array_equal(rewarp(photo, alice.iuv, texture, texture), photo)


def test_only_the_pixels_of_the_edited_parts_change(alice, bob):
    before, photo = np.asarray(alice.texture), np.asarray(alice.photo)
    after = sew(before, [(np.asarray(bob.texture), "lower")])
    warped = rewarp(photo, alice.iuv, before, after)
    legs = np.isin(alice.iuv[..., 0], GROUPS["lower"])
    np.testing.assert_array_equal(warped[~legs], photo[~legs])
    assert (warped[legs] != photo[legs]).any(axis=-1).mean() > 0.8


def test_the_map_may_have_another_size_than_the_photo(alice, bob):
    before, photo = np.asarray(alice.texture), np.asarray(alice.photo)
    after = sew(before, [(np.asarray(bob.texture), "upper")])
    small = np.ascontiguousarray(alice.iuv[::2, ::2])
    assert (rewarp(photo, small, before, after) != photo).any()


def test_where_the_edited_map_shows_nothing_the_photo_stays(alice):
    photo = np.asarray(alice.photo)
    nothing = np.zeros_like(np.asarray(alice.texture))
    np.testing.assert_array_equal(
        rewarp(photo, alice.iuv, np.asarray(alice.texture), nothing), photo
    )


def test_tinting_keeps_what_is_drawn(alice):
    before, photo = np.asarray(alice.texture), np.asarray(alice.photo)
    after = np.where(before.any(axis=-1, keepdims=True), before // 2 + 1, 0).astype(np.uint8)
    tinted_photo = tint(photo, alice.iuv, before, after)
    body = alice.iuv[..., 0] > 0
    np.testing.assert_array_equal(tinted_photo[~body], photo[~body])
    luma = [p[body].astype(float).mean(axis=-1) for p in (photo, tinted_photo)]
    assert luma[1].mean() < 0.7 * luma[0].mean()
    assert np.corrcoef(*luma)[0, 1] > 0.8


def test_the_background_is_the_photos_and_the_body_the_pictures(alice):
    photo = np.asarray(alice.photo)
    picture = 255 - photo
    kept = keep_background(picture, photo, alice.iuv)
    body = alice.iuv[..., 0] > 0
    np.testing.assert_array_equal(kept[body], picture[body])
    rows = np.flatnonzero(body.any(axis=1))
    far = np.ones_like(body)
    reach = int(2 * MARGIN * np.ptp(rows)) + 2
    for y, x in np.argwhere(body):
        far[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] = False
    assert far.any()
    np.testing.assert_array_equal(kept[far], photo[far])
