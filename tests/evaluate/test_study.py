"""A study with people: what is drawn for it, what its page tells, and the page in a browser."""

import base64
import io
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, SettingsError
from mcld.evaluate import study as module
from mcld.evaluate.answers import read_answers, score_answers
from mcld.evaluate.layouts import PairNames
from mcld.evaluate.request import EvaluationRequest, list_results
from mcld.evaluate.study import Plan, Study, _draw, make_study
from mcld.evaluate.study_key import StudyKey, read_key
from tests.evaluate.test_run import results_of

ALPHA, BETA = "alphanet", "betanet"
PLAN = Plan(pictures=2, comparisons=4)


@pytest.fixture(scope="module")
def results(dataset: DatasetLayout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("results")
    return {
        ALPHA: results_of(dataset, root / ALPHA, noise=5),
        BETA: results_of(dataset, root / BETA, noise=40, seed=1),
    }


def make(
    dataset: DatasetLayout, results: dict[str, Path], folder: Path, plan: Plan = PLAN
) -> Study:
    requests = [EvaluationRequest(name, dataset.root, path) for name, path in results.items()]
    listings = [list_results(request) for request in requests]
    return make_study(folder, requests, listings, plan, lambda done, total: None)


@pytest.fixture(scope="module")
def study(dataset, results, tmp_path_factory) -> Study:
    return make(dataset, results, tmp_path_factory.mktemp("study") / "study")


def read_content(page: Path) -> dict:
    """What the page knows."""
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page.read_text())
    return json.loads(found[1])


def test_photos_and_the_results_of_each_method_are_shown_alike_often(study):
    key = read_key(study.page.parent)
    assert key == study.key
    methods = Counter(key.pictures[name].method for name in key.judged)
    assert methods == {None: 2, ALPHA: 1, BETA: 1}
    assert len(key.compared) == 4
    for both in key.compared.values():
        first, second = (key.pictures[name] for name in both)
        assert {first.method, second.method} == {ALPHA, BETA}
        assert (first.source, first.target) == (second.source, second.target)
    assert key.size == "512"
    content = read_content(study.page)
    assert set(content["pictures"]) == set(key.pictures)
    assert content["study"] == key.study


def test_where_there_are_photos_enough_none_is_shown_twice_and_all_methods_meet_alike_often():
    pairs = {f"{s}_2_{t}.png": PairNames(f"s{s}", f"t{t}") for t in range(90) for s in range(3)}
    drawn = _draw(pairs, ["a", "b", "c"], Plan(), Random(4))
    assert drawn.notes == []
    targets = [pairs[name].target for name, _ in drawn.generated + drawn.compared]
    assert len(set(drawn.photos + targets)) == 90
    assert Counter(method for _, method in drawn.generated) == {"a": 10, "b": 10, "c": 10}
    assert Counter(both for _, both in drawn.compared) == {
        ("a", "b"): 10,
        ("a", "c"): 10,
        ("b", "c"): 10,
    }


def test_the_seed_decides_what_is_shown(dataset, results, study, tmp_path):
    again = make(dataset, results, tmp_path / "again")
    assert again.page.read_bytes() == study.page.read_bytes()
    other = make(dataset, results, tmp_path / "other", Plan(2, 4, seed=1))
    assert other.key.study != study.key.study
    assert set(other.key.pictures).isdisjoint(study.key.pictures)


def test_the_page_tells_of_no_picture_what_it_is(dataset, study):
    text = study.page.read_text()
    words = [ALPHA, BETA, "Mannequin", "fashion", str(dataset.root), "http:", "https:", "_2_"]
    assert [word for word in words if word in text] == []
    kinds = set()
    for url in read_content(study.page)["pictures"].values():
        head, _, data = url.partition(",")
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            kinds.add((head, picture.size, tuple(picture.info), str(picture.quantization)))
            assert not picture.getexif()
    assert len(kinds) == 1


def test_neither_place_nor_order_on_the_page_follow_the_method(dataset, results, tmp_path):
    first, judged, by_id = set(), set(), set()
    for seed in range(6):
        key = make(dataset, results, tmp_path / str(seed), Plan(2, 4, seed=seed)).key
        first |= {key.pictures[both[0]].method for both in key.compared.values()}
        judged.add(key.pictures[key.judged[0]].method)
        by_id.add(key.pictures[min(key.judged)].method)
    assert first == {ALPHA, BETA}
    assert None in judged
    assert len(judged) > 1
    assert None in by_id
    assert len(by_id) > 1


def test_one_method_is_judged_but_compared_with_nothing(dataset, results, tmp_path):
    key = make(dataset, {ALPHA: results[ALPHA]}, tmp_path).key
    assert Counter(key.pictures[name].method for name in key.judged) == {None: 2, ALPHA: 2}
    assert key.compared == {}


def test_fewer_pictures_than_asked_for_are_told(dataset, results, tmp_path):
    made = make(dataset, results, tmp_path, Plan())
    count = len({target for _, target in dataset.pairs("test")})
    assert made.notes[0].startswith(f"{count} real and {count} generated pictures, not 30")
    assert "photos are also the truth of a generated picture" in made.notes[1]
    assert "comparisons, not 30" in made.notes[2]
    assert "smaller than 352x512 and were enlarged" in made.notes[3]


def test_what_cannot_be_studied_is_refused(dataset, results, study, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="holds another study"):
        make(dataset, results, study.page.parent, Plan(2, 4, seed=9))
    damaged = results_of(dataset, tmp_path / "damaged")
    for path in damaged.rglob("*.png"):
        Image.new("RGB", (9, 9)).save(path)
    with pytest.raises(InputError, match=r"_2_.*\.png: it is 9x9, not 352x512"):
        make(dataset, {"damaged": damaged}, tmp_path / "study")
    apart = {}
    for number, name in enumerate(("one", "other")):
        apart[name] = results_of(dataset, tmp_path / name)
        for path in sorted(apart[name].rglob("*.png"))[number::2]:
            path.unlink()
    with pytest.raises(InputError, match="no pair in common"):
        make(dataset, apart, tmp_path / "study")
    monkeypatch.setattr(module, "LARGEST_PAGE", 1000)
    with pytest.raises(SettingsError, match="fewer --pictures or --comparisons"):
        make(dataset, results, tmp_path / "study")
    assert not (tmp_path / "study").exists()


Opener = Callable[..., object]


@pytest.fixture
def open_page(browser, study) -> Iterator[Opener]:
    """Opens a page as a file, in a new browser; nothing may go wrong, or be asked for."""
    contexts, wrong = [], []

    def open_one(
        path: Path = study.page,
        width: int = 1280,
        height: int = 800,
        foreseen: str = "$.",
        before: str = "",
        **more,
    ):
        """foreseen: what may be said, a pattern; before: what runs before the page does."""
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(before)
        page.on("console", lambda said: re.search(foreseen, said.text) or wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: asked.url[:5] in ("file:", "data:", "blob:") or wrong.append(asked.url),
        )
        page.goto(path.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def begin(page, who: str) -> None:
    page.get_by_label("Your code").fill(who)
    page.get_by_role("button", name="Begin").click()


def step(page) -> int:
    return page.evaluate("state.step")


def do(page, act: Callable[[], None]) -> None:
    """Act until the page goes on: it takes no answer to what was shown just now."""
    before = step(page)
    end = time.monotonic() + 10
    while step(page) == before:
        assert time.monotonic() < end
        act()


def find_shown(page) -> str | list[str]:
    """Id of the picture to judge, or ids of the two that are compared, from the left."""
    return page.evaluate("steps[state.step].pictures ?? steps[state.step].id")


def answer_all(page, key: StudyKey) -> list[str]:
    """By keyboard: photos for generated, alpha's for real, beta's for generated; alpha's wins.

    Returns what stood on the left of the comparisons.
    """
    lefts = []
    while not page.locator("#end").is_visible():
        if page.locator("#part").is_visible():
            page.keyboard.press("Space")
            continue
        shown = find_shown(page)
        if isinstance(shown, str):
            right = key.pictures[shown].method != ALPHA
        else:
            right = key.pictures[shown[1]].method == ALPHA
            lefts.append(shown[0])
        which = "ArrowRight" if right else "ArrowLeft"
        do(page, lambda which=which: page.keyboard.press(which))
    return lefts


def save(page, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with page.expect_download() as download:
        page.get_by_text("Save answers").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_run_by_keyboard_comes_back_as_what_was_clicked(open_page, study, tmp_path):
    page = open_page()
    begin(page, "x")
    lefts = answer_all(page, study.key)
    path = save(page, tmp_path)
    assert path.name == f"answers-{study.key.study}-x.json"
    page.get_by_role("button", name="Copy answers").click()
    page.locator("#said", has_text=re.compile("copied|copy", re.IGNORECASE)).wait_for()
    assert page.get_by_label("Your answers").input_value() == path.read_text()
    answers, refused = read_answers(tmp_path, study.key)
    assert refused == []
    assert all(each.seconds > 0.1 for each in answers[0].judged)
    shares = score_answers(study.key, answers).shares
    assert {(s.measure, s.method): s.value for s in shares} == {
        ("R2G", None): 1,
        ("G2R", ALPHA): 1,
        ("G2R", BETA): 0,
        ("Jab", ALPHA): 1,
        ("Jab", BETA): 0,
    }
    assert [choice.left for choice in answers[0].compared] == lefts
    assert len(lefts) == 4


def test_an_answer_can_be_changed_and_a_reload_goes_on(open_page, study, tmp_path):
    page = open_page()
    begin(page, "y")
    page.keyboard.press("Space")
    first = find_shown(page)
    do(page, lambda: page.keyboard.press("1"))
    page.keyboard.press("Backspace")
    assert find_shown(page) == first
    assert page.locator("#real").get_attribute("aria-pressed") == "true"
    assert page.get_by_role("button", name="Back").is_disabled()
    do(page, lambda: page.keyboard.press("2"))
    second = find_shown(page)
    page.reload()
    page.locator("#judge").wait_for()
    assert find_shown(page) == second
    assert page.locator("#count").inner_text() == "2 of 8"
    answer_all(page, study.key)
    do(page, lambda: page.get_by_role("button", name="Back").click())
    assert page.locator("#count").inner_text() == "8 of 8"
    answer_all(page, study.key)
    told = json.loads(save(page, tmp_path).read_text())
    assert (told["judged"][0]["picture"], told["judged"][0]["answer"]) == (first, "generated")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="for the next person").click()
    assert page.locator("#start").is_visible()
    assert page.evaluate("localStorage.length") == 0


def test_each_participant_has_an_order_of_their_own(open_page, study):
    page = open_page()

    def list_steps(who: str) -> list:
        return page.evaluate("who => { state = {participant: who}; plan(); return steps; }", who)

    people = [list_steps(f"p{k}") for k in range(8)]
    assert people[0] == list_steps("p0")
    assert len({json.dumps(steps) for steps in people}) > 6
    # Each sees half of the comparisons turned around
    for steps in people:
        compared = [step for step in steps if "pictures" in step]
        turned = [s["pictures"][0] != study.key.compared[s["id"]][0] for s in compared]
        assert sum(turned) == 2


def test_on_a_phone_all_is_in_reach_of_a_thumb_and_keeps_its_proportions(open_page, study):
    page = open_page(width=390, height=844, has_touch=True, is_mobile=True)
    begin(page, "z")
    page.get_by_role("button", name="Go on").tap()

    def check(*ids: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("document.documentElement.scrollHeight") <= 844
        for name in ids:
            box = page.locator(f"{name}").bounding_box()
            assert box["height"] / box["width"] == pytest.approx(16 / 11, rel=0.02)

    check("#judged")
    while page.locator("#judge").is_visible():
        do(page, page.locator("#generated").tap)
    page.get_by_role("button", name="Go on").tap()
    check("#person", "#truth", "#left img", "#right img")
    shown = find_shown(page)
    do(page, page.locator("#right").tap)
    assert page.evaluate("id => Object.values(state.answers).at(-1).answer", "") == shown[1]


def test_a_key_that_is_held_answers_once(open_page):
    page = open_page()
    begin(page, "h")
    page.keyboard.press("Space")
    do(page, lambda: page.keyboard.press("1"))
    before = step(page)
    # Two at once: the second is to what was shown just now
    press = "dispatchEvent(new KeyboardEvent('keydown', {key: '1'}));"
    page.evaluate(f"shownAt = -1e9; {press} {press}")
    assert step(page) == before + 1


def test_nothing_can_be_sent_or_fetched(open_page):
    page = open_page(foreseen="Content Security Policy")
    blocked = page.evaluate(
        """() => new Promise(tell => {
            addEventListener("securitypolicyviolation", e => tell(e.effectiveDirective));
            fetch("http://127.0.0.1:9/").catch(() => {});
        })"""
    )
    assert blocked == "connect-src"


def test_where_a_browser_keeps_nothing_it_is_said(open_page, study, tmp_path):
    page = open_page(before="Storage.prototype.setItem = () => { throw new Error('full') }")
    begin(page, "n")
    assert page.locator("#unkept").is_visible()
    answer_all(page, study.key)
    save(page, tmp_path)
    assert len(read_answers(tmp_path, study.key)[0]) == 1


def test_a_picture_can_be_shown_for_a_moment_once(open_page, dataset, results, tmp_path):
    made = make(dataset, {ALPHA: results[ALPHA]}, tmp_path, Plan(2, 1, seconds=0.3))
    page = open_page(made.page)
    begin(page, "s")
    assert "shown for 0.3 seconds, once" in page.locator("#part-text").inner_text()
    page.keyboard.press("Space")
    page.get_by_text("What was it?").wait_for()
    assert page.locator("#judged").is_hidden()
    do(page, lambda: page.keyboard.press("1"))
    page.locator("#judged:visible").wait_for()
    page.keyboard.press("Backspace")
    assert page.locator("#judged").is_hidden()
