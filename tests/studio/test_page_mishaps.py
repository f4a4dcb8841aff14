"""What goes wrong on the studio's page, or comes between; real browser, real server."""

import re

import numpy as np
from PIL import Image

from tests.studio.browser import (
    ask_server,
    await_found,
    await_picture,
    await_that,
    choose_example,
    choose_pose,
    differs_by,
    expect,
    find_joint,
    is_replaced,
    list_painted,
    list_textures,
    open_painting,
    paint,
    result,
    stroke,
)


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


def test_a_session_that_has_gone_is_followed_by_a_new_one_and_said(open_page):
    page = open_page(foreseen="404")
    page.evaluate("sessionStorage.setItem('mcld-session', 'gone')")
    page.reload()
    expect(page.locator("#notice")).to_have_text("The earlier session has gone; this is a new one.")
    choose_example(page, "Ben")


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
    await_found(page)


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


def test_a_job_that_ends_as_it_is_cancelled_keeps_its_picture(open_page):
    page = open_page()
    choose_example(page, "Ben")
    await_found(page)
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
    await_found(page)
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
    await_found(page)


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


def test_a_preview_is_given_up_for_a_newer_one(open_page):
    page = open_page()
    choose_example(page, "Ben")
    await_found(page)
    asked = []
    page.route("**/preview", lambda route: route.continue_() if asked else asked.append(route))
    colour = page.get_by_label("Colour: Upper body", exact=True)
    with page.expect_event("requestfailed", lambda request: "/preview" in request.url):
        colour.fill("#c01010")
        await_that(page, lambda: bool(asked))
        colour.fill("#1010c0")
    expect(page.locator("#preview-picture")).to_have_attribute("src", re.compile("^data:"))
