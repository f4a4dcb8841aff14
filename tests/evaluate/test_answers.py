"""Answers to a study, scored: known answers give known shares, and damaged files give none."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from mcld.errors import InputError
from mcld.evaluate.answers import (
    find_interval,
    measure_agreement,
    read_answers,
    score_answers,
)
from mcld.evaluate.study_key import ShownPicture, StudyKey


def make_key(methods: tuple[str, ...] = ("a", "b"), each: int = 4) -> StudyKey:
    """As many photos as results of each method, and as many comparisons of each two."""
    pictures = {
        f"p{k}": ShownPicture(method=None, source=None, target=f"t{k}") for k in range(each)
    }
    for method in methods:
        pictures |= {
            f"{method}{k}": ShownPicture(method=method, source="s", target=f"t{k}")
            for k in range(each)
        }
    judged = list(pictures)
    compared = {}
    for first, second in combinations(methods, 2):
        for k in range(each):
            both = (f"{first}-{second}-{k}", f"{second}-{first}-{k}")
            pictures |= {
                name: ShownPicture(method=name[0], source="s", target=f"t{k}") for name in both
            }
            compared[f"c{len(compared)}"] = both if k % 2 else both[::-1]
    return StudyKey(
        made_by="mcld",
        seed=0,
        seconds=None,
        size="256",
        dataset="d",
        protocol_name="mcld-1",
        protocol_hash="0" * 12,
        methods={method: method for method in methods},
        pictures=pictures,
        judged=judged,
        compared=compared,
    ).identify("pixels")


def answer(key: StudyKey, who: str, called_real: set[str], order: str = "ab") -> dict:
    """Somebody's answers: what they took for real; of two methods, the earlier of `order`."""

    def take(both: tuple[str, str]) -> str:
        return min(both, key=lambda name: order.index(key.pictures[name].method))

    return {
        "study": key.study,
        "participant": who,
        "seed": 1,
        "judged": [
            {"picture": p, "answer": "real" if p in called_real else "generated", "seconds": 2}
            for p in key.judged
        ],
        "compared": [
            {"comparison": c, "left": both[0], "answer": take(both), "seconds": 5}
            for c, both in key.compared.items()
        ],
    }


def save(folder: Path, *all_answers: dict) -> Path:
    folder.mkdir(exist_ok=True)
    for number, answers in enumerate(all_answers):
        (folder / f"{number}.json").write_text(json.dumps(answers))
    return folder


def score(folder: Path, key: StudyKey) -> dict[tuple[str, str | None, str | None], float]:
    answers, refused = read_answers(folder, key)
    assert refused == []
    scores = score_answers(key, answers)
    return {(s.measure, s.method, s.other): s.value for s in scores.shares}


def test_the_shares_are_those_of_the_papers(tmp_path):
    key = make_key()
    # One of four photos is taken for generated; of a's results three for real, of b's one
    first = answer(key, "x", {"p0", "p1", "p2", "a0", "a1", "a2", "b0"}, order="ab")
    second = answer(key, "y", {"p0", "p1", "p2", "a0", "a1", "a2", "b0"}, order="ba")
    third = answer(key, "z", {"p0", "p1", "p2", "a0", "a1", "a2", "b0"}, order="ab")
    assert score(save(tmp_path, first, second, third), key) == {
        ("R2G", None, None): 0.25,
        ("G2R", "a", None): 0.75,
        ("G2R", "b", None): 0.25,
        ("Jab", "a", None): pytest.approx(2 / 3),
        ("Jab", "b", None): pytest.approx(1 / 3),
    }


def test_of_three_methods_each_has_its_share_of_the_comparisons_it_was_in(tmp_path):
    key = make_key(("a", "b", "c"))
    folder = save(
        tmp_path, answer(key, "x", set(), order="abc"), answer(key, "y", set(), order="acb")
    )
    found = score(folder, key)
    assert {name: value for name, value in found.items() if name[0] in ("Jab", "preferred")} == {
        ("Jab", "a", None): 1,
        ("Jab", "b", None): 0.25,
        ("Jab", "c", None): 0.25,
        ("preferred", "a", "b"): 1,
        ("preferred", "a", "c"): 1,
        ("preferred", "b", "c"): 0.5,
    }


def test_a_study_of_one_method_has_no_comparisons(tmp_path):
    key = make_key(("a",))
    folder = save(tmp_path, answer(key, "x", {"a0"}), answer(key, "y", {"p0"}))
    assert score(folder, key) == {("R2G", None, None): 7 / 8, ("G2R", "a", None): 1 / 8}


def test_one_participants_interval_is_wilsons():
    marks = np.array([[True] * 3 + [False] * 7])
    expected = binomtest(3, 10).proportion_ci(method="wilson")
    low, high, how = find_interval(marks)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert how == "Wilson"


def test_answers_that_are_all_alike_are_not_taken_for_certain():
    low, high, how = find_interval(np.ones((20, 10), bool))
    assert (low, how) == (
        pytest.approx(binomtest(10, 10).proportion_ci(method="wilson").low),
        "Wilson",
    )
    assert high == pytest.approx(1)


def test_intervals_cover_the_truth_where_participants_and_pictures_differ():
    random = np.random.default_rng(3)
    people, pictures, rounds = 12, 20, 150
    covered = naively = 0
    for _ in range(rounds):
        chance = 0.4 + random.normal(0, 0.12, (people, 1)) + random.normal(0, 0.2, (1, pictures))
        marks = random.random((people, pictures)) < chance.clip(0, 1)
        low, high, how = find_interval(marks)
        assert how == "bootstrap"
        # Clipped, their mean is 0.404
        covered += low <= 0.4 <= high
        plain = binomtest(int(marks.sum()), marks.size).proportion_ci(method="wilson")
        naively += plain.low <= 0.4 <= plain.high
    assert covered / rounds > 0.92
    assert naively / rounds < 0.85  # so this tells answers that depend on each other from others


def test_agreement_is_fleiss_kappa():
    marks = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1]], bool)
    assert measure_agreement(marks) == pytest.approx(1 / 3)  # (2/3 - 1/2) / (1 - 1/2)
    assert measure_agreement(np.array([[1, 0], [1, 0]], bool)) == 1
    assert measure_agreement(marks[:1]) is None
    assert measure_agreement(np.ones((3, 4), bool)) is None


def test_files_that_do_not_count_are_told_one_line_each(tmp_path):
    key = make_key()
    good = answer(key, "x", {"p0"})
    folder = save(tmp_path / "answers", good)
    half = answer(key, "h", set())
    half["judged"].pop()
    foreign = answer(key, "f", set())
    foreign["compared"][0]["answer"] = "p0"
    for name, content in {
        "again": good,
        "else": answer(key, "x", set()),
        "foreign": foreign,
        "half": half,
        "late": {**good, "participant": "l", "study": "f" * 12},
        "slow": {**answer(key, "s", set()), "participant": ""},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "torn.json").write_text(json.dumps(good)[:-5])
    (folder / "study.json").write_text(key.model_dump_json())
    (folder / "answers.json").write_text("{}")
    (folder / "notes.txt").write_text("no answers")
    answers, refused = read_answers(folder, key)
    assert [each.participant for each in answers] == ["x"]
    assert refused[:5] == [
        "again.json: participant x again, the same answers as 0.json",
        "else.json: participant x again, other answers than 0.json",
        "foreign.json: damaged: comparison c0 has other pictures",
        "half.json: damaged: answers to 11 of 12 pictures, each once",
        f"late.json: answers to study {'f' * 12}, not {key.study}",
    ]
    assert refused[5].startswith("slow.json: damaged, or no answers: participant: ")
    assert refused[6].startswith("torn.json: damaged, or no answers: Invalid JSON")
    assert len(refused) == 7
    scores = score_answers(key, answers, refused)
    assert scores.describe()["refused"] == refused
    assert "1 participant counted; files that are not: 7" in scores.list_notes()


def test_no_answers_are_no_score(tmp_path):
    key = make_key()
    with pytest.raises(InputError, match=f"there are no answers to study {key.study}"):
        score_answers(key, *read_answers(save(tmp_path), key))
    with pytest.raises(InputError, match="cannot be listed"):
        read_answers(tmp_path / "nowhere", key)


def test_the_summary_has_every_number(tmp_path):
    key = make_key()
    answers, refused = read_answers(
        save(tmp_path / "answers", answer(key, "x", {"p0"}), answer(key, "y", {"a0"})), key
    )
    path = score_answers(key, answers, refused).write(tmp_path)
    told = json.loads(path.read_text())
    assert told["participants"] == ["x", "y"]
    assert told["answers"] == {"judged": 24, "compared": 8}
    assert told["median_seconds"] == {"judged": 2, "compared": 5}
    assert told["left"] == 0.5
    r2g = told["shares"][0]
    assert (r2g["measure"], r2g["value"], r2g["answers"]) == ("R2G", 7 / 8, 8)
    assert r2g["low"] < 7 / 8 < r2g["high"]
