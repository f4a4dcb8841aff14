"""The ways that lead over the studio's page, in a real browser before the real server."""

import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.studio.browser import (
    IS_LAID,
    await_found,
    await_picture,
    await_that,
    choose_example,
    choose_pose,
    command,
    count_red,
    differs,
    expect,
    find_joint,
    is_wider_than_its_window,
    middle,
    paint,
    pixel,
    read_picture,
    result,
    stroke,
)


def test_two_photos_become_a_picture_that_is_taken_along(open_page, photos):
    ada, ben = photos
    page = open_page()
    page.locator("#photo-files").set_input_files(ada)
    found = page.locator("#found-pictures img")
    expect(found).to_have_count(4)
    for k in range(4):
        assert found.nth(k).evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator("#shown-parts")).to_contain_text(re.compile(r"Head\s*\d+ %"))

    page.get_by_role("tab", name="From a file").click()
    page.locator("#pose-files").set_input_files(ben)
    expect(page.locator("#pose-now")).to_have_text(re.compile(ben.stem, re.IGNORECASE))
    paint(page)

    picture = result(page)
    assert picture.shape == (512, 352, 3)
    assert differs(picture, np.asarray(Image.open(ada).resize((352, 512))))
    expect(page.locator("#stage").get_by_text("Synthetic")).to_be_visible()
    assert f"--source {ada.name}" in command(page)
    assert f"--pose {ben.name}" in command(page)
    expect(page.locator("#jobs li")).to_have_count(1)

    page.get_by_role("button", name="Copy as command").click()
    expect(page.locator("#copied")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#command").inner_text()
    assert command(page).startswith(f"mcld edit --source {ada.name}")

    with page.expect_download() as coming:
        page.get_by_role("link", name="Export as recipe").click()
    with zipfile.ZipFile(coming.value.path()) as recipe:
        names = recipe.namelist()
    assert any(name.endswith(ada.name) for name in names)
    assert any(name.endswith(".yaml") for name in names)

    with page.expect_download() as coming:
        page.get_by_role("link", name="Download").click()
    assert np.array_equal(np.asarray(Image.open(coming.value.path()).convert("RGB")), result(page))


def test_photos_of_one_person_are_added_and_taken_away(open_page, photos):
    page = open_page()
    page.locator("#photo-files").set_input_files(photos[0])
    page.get_by_role("button", name="Add a photo").click()
    page.locator("#picker-file").set_input_files(photos[1])
    expect(page.locator("#person-now")).to_have_text("2 photos")
    page.get_by_role("button", name=f"Remove {photos[0].name}").click()
    expect(page.locator("#person-now")).to_have_text(photos[1].name)
    await_found(page)
    page.get_by_role("button", name=f"Remove {photos[1].name}").click()
    expect(page.locator("#person-drop")).to_be_visible()
    expect(page.locator("#paint")).to_be_disabled()


def test_a_dragged_joint_moves_the_body_that_is_painted(open_page):
    page = open_page()
    choose_example(page, "Ben")
    await_found(page)  # and nothing moves any more
    page.get_by_role("tab", name="By hand").click()
    hand = page.get_by_role("slider", name="left hand", exact=True)
    page.locator("#figure-picture[src]").scroll_into_view_if_needed()
    standing, start = read_picture(page, "#figure-picture"), find_joint(page, "left hand")

    x, y = middle(hand)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y - 120, steps=12)
    page.mouse.up()
    by = np.array([40 / 352, -120 / 512])
    await_that(page, lambda: np.allclose(find_joint(page, "left hand") - start, by, atol=0.02))
    page.wait_for_timeout(300)  # the last place that was dragged to is drawn, and stays
    raised, reaching = find_joint(page, "left hand"), read_picture(page, "#figure-picture")
    assert np.allclose(raised - start, by, atol=0.02)
    assert differs(reaching, standing)

    hand.press("Shift+ArrowUp")
    await_that(
        page, lambda: np.allclose(find_joint(page, "left hand") - raised, (0, -0.05), atol=0.01)
    )
    page.get_by_role("slider", name="Turn").fill("60")
    await_that(page, lambda: differs(read_picture(page, "#figure-picture"), reaching))

    page.get_by_label("Name", exact=True).fill("reaching")
    page.get_by_role("button", name="Use this pose").click()
    expect(page.locator("#pose-now")).to_have_text("reaching")
    paint(page)
    assert "--pose reaching.npz" in command(page)
    page.get_by_role("tab", name="Gallery").click()
    expect(page.locator("#poses").get_by_role("radio", name="reaching")).to_be_checked()
    with page.expect_download() as coming:
        page.locator("#pose-gallery").get_by_role("link", name="Download reaching.npz").click()
    assert zipfile.is_zipfile(coming.value.path())

    page.get_by_role("tab", name="By hand").click()
    hand.press("Shift+ArrowLeft")
    paint(page)  # what was moved and is on the screen is meant
    assert "--pose reaching-2.npz" in command(page)


def test_a_patch_that_is_painted_shows_on_the_body_and_in_the_picture(open_page):
    page = open_page()
    choose_example(page, "Ben")
    page.get_by_role("button", name="Paint on the texture map").click()
    page.locator("#brush-colour").fill("#f00000")
    page.locator("#brush-size").fill("40")
    await_that(page, lambda: page.evaluate(IS_LAID))
    own = pixel(page, 160, 330)

    stroke(page, (130, 330), (190, 330))
    assert pixel(page, 160, 330) == [240, 0, 0]
    page.get_by_role("button", name="Undo").click()
    assert pixel(page, 160, 330) == own
    stroke(page, (130, 330), (190, 330))
    page.locator("input[name=tool][value=eraser]").check()
    stroke(page, (160, 330), (160, 330))
    assert pixel(page, 160, 330) == own
    page.locator("input[name=tool][value=brush]").check()
    page.locator("#texture").focus()
    page.keyboard.press("Space")  # where the brush is held by the keyboard, in the middle
    assert pixel(page, 256, 256) == [240, 0, 0]
    stroke(page, (130, 330), (190, 330))

    expect(page.locator("#painting-preview")).to_be_visible()
    expect(page.locator("#dress-now")).to_have_text("1 change")
    page.get_by_role("button", name="Done").click()
    paint(page)
    assert "--texture painted" in command(page)
    await_that(page, lambda: count_red(read_picture(page, "#preview-picture")) > 0.005)
    assert count_red(result(page)) > 0.005
    assert count_red(read_picture(page, "#stage .before")) < 0.001

    page.reload()
    page.get_by_role("button", name="Paint on the texture map").click()
    await_that(page, lambda: page.evaluate(IS_LAID))
    assert pixel(page, 160, 330) == [240, 0, 0]


def test_another_colour_and_another_shirt_show_at_once_and_are_painted(open_page):
    page = open_page()
    choose_example(page, "Ben")
    preview = page.locator("#preview-picture")
    page.get_by_label("Colour: Upper body", exact=True).fill("#c01010")
    expect(page.get_by_label("Another colour: Upper body")).to_be_checked()
    expect(preview).to_have_attribute("src", re.compile("^data:"))
    red = read_picture(page, "#preview-picture")
    assert count_red(red) > 0.02

    page.get_by_role("button", name="Legs: choose a photo").click()
    page.locator("#picker-examples").get_by_role("button", name="Dora").click()
    expect(page.locator("#dress-now")).to_have_text("2 changes")
    expect(preview).not_to_have_attribute("src", preview.get_attribute("src"))
    await_that(page, lambda: differs(read_picture(page, "#preview-picture"), red))
    paint(page)
    assert "--recolor upper=#c01010" in command(page)
    assert "--lower dora.jpg" in command(page)
    assert count_red(result(page)) > 0.02

    page.get_by_role("button", name="Legs: as it is").click()
    page.get_by_label("Another colour: Upper body").uncheck()
    expect(page.locator("#dress-now")).to_have_text("As they are")


def test_history_brings_back_every_seed_and_setting_and_survives_a_reload(open_page):
    page = open_page()
    choose_example(page, "Ben")
    choose_pose(page, "Walking")
    page.get_by_label("Colour: Legs", exact=True).fill("#2040a0")
    page.locator("#seeds").fill("2")
    page.locator("#first-seed").fill("3")
    paint(page)
    expect(page.locator("#strip button")).to_have_count(2)
    walking = result(page)
    assert "--seed 3" in command(page)
    page.get_by_role("button", name="Seed 4").click()
    assert "--seed 4" in command(page)
    assert not np.array_equal(result(page), walking)

    choose_example(page, "Ada")
    choose_pose(page, "Own pose")
    page.get_by_label("Another colour: Legs").uncheck()
    page.locator("#seeds").fill("1")
    paint(page)
    assert differs(result(page), walking)
    expect(page.locator("#jobs li")).to_have_count(2)

    for _ in ("as it was left", "after a reload"):
        page.locator("#jobs .entry").nth(1).click()
        expect(page.locator("#person-now")).to_have_text("ben.jpg")
        expect(
            page.locator("#poses").get_by_role("radio", name="Walking", exact=True)
        ).to_be_checked()
        expect(page.get_by_label("Another colour: Legs")).to_be_checked()
        expect(page.get_by_label("Colour: Legs", exact=True)).to_have_value("#2040a0")
        expect(page.locator("#seeds")).to_have_value("2")
        expect(page.locator("#first-seed")).to_have_value("3")
        assert not differs(result(page), walking)

        page.locator("#jobs .entry").nth(0).click()
        expect(page.locator("#person-now")).to_have_text("ada.jpg")
        expect(page.get_by_label("Another colour: Legs")).not_to_be_checked()
        page.reload()
        expect(page.locator("#jobs li")).to_have_count(2)
        expect(page.locator("#person-now")).to_have_text("ada.jpg")


def test_a_sequence_grows_on_the_page_until_it_is_cancelled(open_page):
    page = open_page(motion="no-preference")
    choose_example(page, "Ben")
    page.get_by_role("tab", name="Motion").click()
    page.locator("#motions").get_by_role("radio", name=re.compile("^Walk,")).check()
    page.get_by_role("button", name="Paint the sequence").click()
    frames = page.locator("#film img")
    expect(frames.nth(1)).to_be_visible(timeout=60_000)
    expect(page.locator("#progress")).to_be_visible()
    page.locator("#cancel").click()
    expect(page.locator("#said")).to_have_text("Cancelled.")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#jobs li")).to_contain_text("cancelled")

    page.get_by_role("tab", name="Gallery").click()
    choose_pose(page, "Standing")
    paint(page)  # nothing is left in the way


def test_two_pages_do_not_disturb_each_other(open_page):
    one, other = open_page(), open_page()
    choose_example(one, "Ada")
    choose_example(other, "Ben")
    choose_pose(other, "Walking")
    one.locator("#paint").click()
    other.locator("#paint").click()
    for page, name in ((one, "ada.jpg"), (other, "ben.jpg")):
        await_picture(page)
        assert f"--source {name}" in command(page)
        expect(page.locator("#jobs li")).to_have_count(1)
        expect(page.locator("#jobs li")).to_contain_text(name)
    assert differs(result(one), result(other))


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways(open_page, width):
    page = open_page(width=width, height=844)
    choose_example(page, "Ben")
    await_found(page)
    for tab in ("Gallery", "From a file", "By hand", "Motion"):
        page.get_by_role("tab", name=tab).click()
        assert not is_wider_than_its_window(page), tab
    page.locator("#seeds").fill("2")
    paint(page)
    page.get_by_text("Settings", exact=True).click()
    assert not is_wider_than_its_window(page)
    for opener, closer in (
        ("Weights and settings", "Close"),
        ("Paint on the texture map", "Done"),
        ("Upper body: choose a photo", "Close"),
    ):
        page.get_by_role("button", name=opener).click()
        dialog = page.locator("dialog[open]")
        assert dialog.evaluate("box => box.scrollWidth <= box.clientWidth"), opener
        assert not is_wider_than_its_window(page), opener
        dialog.get_by_role("button", name=closer).click()


def test_the_keyboard_alone_leads_from_a_photo_to_a_picture(open_page):
    page = open_page()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"Tab does not lead to {selector}")

    tab_to("#examples button")
    page.keyboard.press("Enter")
    expect(page.locator("#paint")).to_be_enabled()
    tab_to("#poses input")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#pose-now")).not_to_have_text("Own pose")
    page.keyboard.press("Control+Enter")
    await_picture(page)

    tab_to("#stage input")
    shown = page.locator("#stage .before").evaluate("image => image.style.clipPath")
    page.keyboard.press("ArrowRight")
    assert page.locator("#stage .before").evaluate("image => image.style.clipPath") != shown
    tab_to("#copy-command")
    page.keyboard.press("Enter")
    expect(page.locator("#copied")).to_have_text("Copied")


def test_weights_and_settings_are_part_of_what_is_painted(open_page):
    page = open_page()
    choose_example(page, "Ben")
    choose_pose(page, "Walking")
    page.get_by_role("button", name="Weights and settings").click()
    page.get_by_label("Steps").fill("2")
    page.get_by_label("Scheduler").select_option("euler")
    page.get_by_label("Leave it to the network").check()
    page.locator("#close-settings").click()
    paint(page)
    assert "--steps 2" in command(page)
    assert "--scheduler euler" in command(page)
    assert "--keep nothing" in command(page)
