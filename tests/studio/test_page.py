"""The studio's page, in a real browser before the real server."""

import base64
import io
import re
import shlex
import zipfile

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright to drive a browser")
expect = sync_api.expect

IS_LAID = (
    "document.getElementById('texture').getContext('2d').getImageData(160, 330, 1, 1).data[3] > 0"
)
"""Whether the texture map lies on its canvas."""


def choose_example(page, name: str) -> None:
    page.locator("#examples").get_by_role("button", name=name).click()
    expect(page.locator("#person-now")).to_have_text(f"{name.lower()}.jpg")


def choose_pose(page, name: str) -> None:
    page.locator("#poses").get_by_role("radio", name=name, exact=True).check()


def paint(page) -> None:
    count = page.locator("#jobs li").count()
    page.locator("#paint").click()
    expect(page.locator("#jobs li")).to_have_count(count + 1)
    await_picture(page)


def await_picture(page) -> None:
    """Until the newest of the history is painted."""
    newest = page.locator("#jobs li").first
    expect(newest.locator(".small")).to_contain_text("synthetic", timeout=60_000)
    expect(newest.locator(".entry")).to_have_attribute("aria-current", "true")
    expect(page.locator("#outcome")).to_be_visible()


def read_picture(page, selector: str) -> np.ndarray:
    """The pixels of a picture as the page has them, uint8 [H, W, 3]."""
    drawn = page.locator(selector).evaluate(
        """async (image) => {
            await image.decode();
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL("image/png");
        }"""
    )
    content = base64.b64decode(drawn.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def result(page) -> np.ndarray:
    return read_picture(page, "#stage .after")


def command(page) -> str:
    """What the page says makes the same picture, without a shell's quotes."""
    return " ".join(shlex.split(page.locator("#command").inner_text()))


def differs(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or np.abs(one.astype(int) - other).mean() > 1


def pixel(page, x: int, y: int) -> list[int]:
    """Of the texture map that is painted on."""
    return page.evaluate(
        "([x, y]) => Array.from(document.getElementById('texture').getContext('2d')"
        ".getImageData(x, y, 1, 1).data.slice(0, 3))",
        [x, y],
    )


def stroke(page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw over the texture map, from texel to texel."""
    box = page.locator("#texture").bounding_box()
    places = [
        (box["x"] + box["width"] * x / 512, box["y"] + box["height"] * y / 512)
        for x, y in (start, end)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def middle(locator) -> tuple[float, float]:
    """Of what it shows in the window."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def find_joint(page, label: str) -> np.ndarray:
    """Where a joint's handle is, x and y in 0..1 of the figure's picture."""
    figure = page.locator("#skeleton").bounding_box()
    x, y = middle(page.get_by_role("slider", name=label, exact=True))
    return np.array([(x - figure["x"]) / figure["width"], (y - figure["y"]) / figure["height"]])


def await_that(page, holds) -> None:
    """Until something holds that the page says in numbers alone."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("it never came to hold")


def is_wider_than_its_window(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_two_photos_become_a_picture_of_one_in_the_pose_of_the_other(open_page, photos):
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


def test_photos_of_one_person_are_added_and_taken_away(open_page, photos):
    page = open_page()
    page.locator("#photo-files").set_input_files(photos[0])
    page.get_by_role("button", name="Add a photo").click()
    page.locator("#picker-file").set_input_files(photos[1])
    expect(page.locator("#person-now")).to_have_text("2 photos")
    page.get_by_role("button", name=f"Remove {photos[0].name}").click()
    expect(page.locator("#person-now")).to_have_text(photos[1].name)
    expect(page.locator("#found-pictures img")).to_have_count(4)
    page.get_by_role("button", name=f"Remove {photos[1].name}").click()
    expect(page.locator("#person-drop")).to_be_visible()
    expect(page.locator("#paint")).to_be_disabled()


def test_a_dragged_joint_moves_the_body_that_is_painted(open_page):
    page = open_page()
    choose_example(page, "Ben")
    expect(page.locator("#found-pictures img")).to_have_count(4)  # and nothing moves any more
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


def count_red(picture: np.ndarray) -> float:
    """The share of pixels that are plainly red."""
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    return float(np.mean((red > 150) & (green < 70) & (blue < 70)))


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


def test_history_brings_back_every_setting_and_survives_a_reload(open_page):
    page = open_page()
    choose_example(page, "Ben")
    choose_pose(page, "Walking")
    page.get_by_label("Colour: Legs", exact=True).fill("#2040a0")
    page.locator("#seeds").fill("2")
    page.locator("#first-seed").fill("3")
    paint(page)
    expect(page.locator("#strip button")).to_have_count(2)
    walking = result(page)

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


def test_each_seed_is_a_picture_with_a_command_of_its_own(open_page):
    page = open_page()
    choose_example(page, "Ben")
    choose_pose(page, "Waving")
    page.locator("#seeds").fill("2")
    paint(page)
    first = result(page)
    assert "--seed 0" in command(page)
    page.get_by_role("button", name="Seed 1").click()
    assert "--seed 1" in command(page)
    assert not np.array_equal(result(page), first)


def test_the_recipe_is_exported_and_the_command_copied(open_page):
    page = open_page()
    choose_example(page, "Ben")
    paint(page)
    page.get_by_role("button", name="Copy as command").click()
    expect(page.locator("#copied")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#command").inner_text()
    assert command(page).startswith("mcld edit --source ben.jpg")

    with page.expect_download() as coming:
        page.get_by_role("link", name="Export as recipe").click()
    with zipfile.ZipFile(coming.value.path()) as recipe:
        names = recipe.namelist()
    assert any(name.endswith("ben.jpg") for name in names)
    assert any(name.endswith(".yaml") for name in names)

    with page.expect_download() as coming:
        page.get_by_role("link", name="Download").click()
    assert np.array_equal(np.asarray(Image.open(coming.value.path()).convert("RGB")), result(page))


def test_a_file_that_is_no_picture_is_answered_with_one_line(open_page):
    page = open_page(foreseen="400|413|415|422")
    nothing = {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    page.locator("#photo-files").set_input_files(nothing)
    error = page.locator("#person-error")
    expect(error).to_contain_text("me.jpg")
    assert "\n" not in error.inner_text()
    choose_example(page, "Ben")
    expect(error).to_be_empty()

    page.get_by_role("tab", name="From a file").click()
    page.locator("#pose-files").set_input_files(nothing | {"name": "pose.npz"})
    expect(page.locator("#pose-error")).to_contain_text("pose.npz")
    expect(page.locator("#pose-now")).to_have_text("Own pose")


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
    expect(page.locator("#found-pictures img")).to_have_count(4)
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


def test_a_session_that_has_gone_is_followed_by_a_new_one_and_said(open_page):
    page = open_page(foreseen="404")
    page.evaluate("sessionStorage.setItem('mcld-session', 'gone')")
    page.reload()
    expect(page.locator("#notice")).to_have_text("The earlier session has gone; this is a new one.")
    choose_example(page, "Ben")


def ask_server(page, method: str, path: str = "", **given):
    """Ask for something of the page's session behind the page's back."""
    token = page.evaluate("sessionStorage.getItem('mcld-session')")
    root = re.match(r"https?://[^/]+", page.url)[0]
    return page.request.fetch(f"{root}/api/sessions/{token}{path}", method=method, **given)


def list_textures(page) -> list[str]:
    """Painted texture maps that the session keeps."""
    files = ask_server(page, "GET").json()["files"]
    return [file["id"] for file in files if file["kind"] == "texture"]


def is_replaced(files: list[str], before: list[str]) -> bool:
    return len(files) == 1 and files != before


def open_painting(page) -> None:
    page.get_by_role("button", name="Paint on the texture map").click()
    await_that(page, lambda: page.evaluate(IS_LAID))


def test_all_of_it_is_removed_and_the_page_goes_on(open_page):
    page = open_page()
    choose_example(page, "Ben")
    page.locator("#first-seed").fill("7")
    paint(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove all of it").click()
    expect(page.locator("#jobs li")).to_have_count(0)
    expect(page.locator("#person-drop")).to_be_visible()
    expect(page.locator("#pose-now")).to_have_text("Own pose")
    expect(page.locator("#outcome")).to_be_hidden()
    expect(page.locator("#first-seed")).to_have_value("0")
    choose_example(page, "Ada")
    expect(page.locator("#found-pictures img")).to_have_count(4)


def test_jobs_of_one_second_keep_their_order_and_are_cancelled(open_page):
    page = open_page()
    choose_example(page, "Ben")
    poses = ["standing", "walking", "waving", "sitting"]
    asked = {"kind": "picture", "source": ["ben.jpg"], "seeds": list(range(8))}
    for pose in poses:
        assert ask_server(page, "POST", "/jobs", data=asked | {"pose": pose}).ok
    page.reload()
    titles = page.locator("#jobs .title")
    expect(titles).to_have_text([f"ben.jpg, {pose}" for pose in reversed(poses)])
    for entry in page.locator("#jobs li").all():
        entry.locator(".entry").click()
        page.locator("#cancel").click()
        expect(entry).to_contain_text("cancelled")
    page.get_by_role("button", name="Remove ben.jpg, sitting").click()
    expect(titles).to_have_count(3)
    assert len(list_painted(page)) == 3


def list_painted(page) -> list[dict]:
    """The session's jobs that are in the history."""
    return [job for job in ask_server(page, "GET").json()["jobs"] if job["kind"] != "person"]


def test_a_job_that_ends_as_it_is_cancelled_keeps_its_picture(open_page):
    page = open_page()
    choose_example(page, "Ben")
    expect(page.locator("#found-pictures img")).to_have_count(4)
    page.route("**/jobs/*", lambda route: None)  # no poll is answered any more
    page.locator("#paint").click()
    expect(page.locator("#jobs li")).to_have_count(1)
    await_that(page, lambda: list_painted(page)[0]["state"] == "done")
    page.locator("#cancel").click()
    await_picture(page)
    assert result(page).shape == (512, 352, 3)


def test_of_what_is_painted_only_the_last_is_kept_unless_a_job_has_it(open_page):
    page = open_page(foreseen="413")
    choose_example(page, "Ben")
    open_painting(page)
    for y in (330, 370):
        before = list_textures(page)
        stroke(page, (130, y), (190, y))
        await_that(page, lambda before=before: is_replaced(list_textures(page), before))
    with page.expect_download() as coming:
        page.locator("#painting").get_by_role("link", name="Download").click()
    texture = np.asarray(Image.open(coming.value.path()).convert("RGB"))
    assert texture[370, 160].tolist() == [200, 69, 47]
    page.get_by_role("button", name="Done").click()
    paint(page)

    open_painting(page)
    stroke(page, (130, 390), (190, 390))
    await_that(page, lambda: len(list_textures(page)) == 2)
    page.route("**/files", lambda route: route.fulfill(status=413, json={"error": "it is full"}))
    stroke(page, (130, 400), (190, 400))
    expect(page.locator("#painting-error")).to_have_text("it is full")
    page.get_by_role("button", name="Done").click()
    page.locator("#paint").click()
    expect(page.locator("#result-error")).to_have_text("it is full")
    expect(page.locator("#jobs li")).to_have_count(1)


def test_what_was_painted_on_one_person_is_never_saved_for_another(open_page):
    page = open_page()
    choose_example(page, "Ben")
    open_painting(page)
    stroke(page, (130, 330), (190, 330))
    page.evaluate("""() => {
        document.getElementById("painting-done").click();
        document.querySelector("#examples [title=Ada]").click();
    }""")
    expect(page.locator("#person-now")).to_have_text("ada.jpg")
    expect(page.locator("#found-pictures img")).to_have_count(4)
    page.wait_for_timeout(700)
    expect(page.locator("#dress-now")).to_have_text("As they are")
    assert list_textures(page) == []


def test_a_session_that_ends_meanwhile_is_followed_by_a_new_one(open_page):
    page = open_page(foreseen="404|ERR_")
    choose_example(page, "Ben")
    for _ in range(2):
        paint(page)
    (job, _) = list_painted(page)
    assert ask_server(page, "DELETE", f"/jobs/{job['id']}").ok
    page.locator("#jobs .remove").nth(1).click()
    expect(page.locator("#jobs li")).to_have_count(1)  # though the server had forgotten it
    expect(page.locator("#notice")).to_be_hidden()

    page.route("**/jobs/*", lambda route: route.abort("connectionrefused"))
    page.locator("#jobs .remove").click()
    expect(page.locator("#notice")).to_contain_text("does not answer")
    page.unroute("**/jobs/*")
    assert ask_server(page, "DELETE").ok
    page.locator("#jobs .remove").click()
    expect(page.locator("#notice")).to_contain_text("this is a new one")
    expect(page.locator("#jobs li")).to_have_count(0)
    expect(page.locator("#person-drop")).to_be_visible()
    choose_example(page, "Ben")
    expect(page.locator("#found-pictures img")).to_have_count(4)


def test_settings_that_cannot_be_are_said_and_not_painted_with(open_page):
    page = open_page()
    choose_example(page, "Ben")
    page.get_by_role("button", name="Weights and settings").click()
    page.get_by_label("Steps").fill("1500")
    line = "Steps: give a whole number from 1 to 1000, or leave it empty."
    expect(page.locator("#settings-error")).to_have_text(line)
    page.locator("#close-settings").click()
    choose_pose(page, "Walking")
    page.locator("#paint").click()
    expect(page.locator("#result-error")).to_have_text(line)
    expect(page.locator("#jobs li")).to_have_count(0)
    page.get_by_role("button", name="Weights and settings").click()
    expect(page.get_by_label("Steps")).to_have_value("1500")
    page.get_by_label("Steps").fill("2")
    expect(page.locator("#settings-error")).to_be_empty()
    page.get_by_label("Guidance scale").fill("0")
    expect(page.locator("#settings-error")).to_contain_text("Guidance scale")


def test_photos_that_cannot_be_read_are_said_and_waited_for_no_longer(open_page, photos):
    page = open_page(foreseen="429")
    page.locator("#photo-files").set_input_files([photos[0]] * 9)
    expect(page.locator("#person-error")).to_contain_text("At most 8 photos")
    assert ask_server(page, "GET").json()["files"] == []
    page.route("**/people", lambda route: route.fulfill(status=429, json={"error": "too many"}))
    choose_example(page, "Ben")
    expect(page.locator("#person-error")).to_have_text("too many")
    expect(page.locator("#found-pictures .blank")).to_have_text(["Not read"] * 3)
    expect(page.locator("#found-pictures .waiting")).to_have_count(0)


def test_nothing_that_is_done_to_the_figure_is_lost(open_page):
    page = open_page()
    page.get_by_role("tab", name="By hand").click()
    expect(page.locator("#figure-picture[src]")).to_be_visible()
    standing = find_joint(page, "left hand")
    page.get_by_label("Start from").select_option("waving")
    await_that(page, lambda: differs_by(find_joint(page, "left hand"), standing, 0.02))
    waving = find_joint(page, "left hand")
    answers = []
    page.on("response", lambda answer: answer.url.endswith("/pose") and answers.append(answer))
    page.evaluate("for (let k = 0; k < 3; k += 1) document.getElementById('mirror').click()")
    await_that(page, lambda: len(answers) >= 3)
    await_that(page, lambda: differs_by(find_joint(page, "left hand"), waving, 0.02))


def differs_by(one: np.ndarray, other: np.ndarray, least: float) -> bool:
    return bool(np.abs(one - other).max() > least)


def test_a_preview_is_given_up_for_a_newer_one(open_page):
    page = open_page()
    choose_example(page, "Ben")
    expect(page.locator("#found-pictures img")).to_have_count(4)
    asked = []
    page.route("**/preview", lambda route: route.continue_() if asked else asked.append(route))
    colour = page.get_by_label("Colour: Upper body", exact=True)
    with page.expect_event("requestfailed", lambda request: "/preview" in request.url):
        colour.fill("#c01010")
        await_that(page, lambda: bool(asked))
        colour.fill("#1010c0")
    expect(page.locator("#preview-picture")).to_have_attribute("src", re.compile("^data:"))
