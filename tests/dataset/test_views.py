"""Which pictures show one person, and what of them is gathered."""

from collections import Counter

import pytest

from mcld.dataset.views import (
    draw_views,
    find_views,
    group_by_wearer,
    join_views,
    parse_wearer,
    split_views,
)


@pytest.mark.parametrize(
    ("stem", "wearer"),
    [
        ("fashionWOMENDressesid0000000102_1front", "fashionWOMENDressesid0000000102"),
        ("WOMENMannequinsid0000000102_1front", "WOMENMannequinsid00000001"),
        ("ann_front", "ann"),
        ("ann-in-red-2", "ann-in-red"),
        ("Ann Lee 03", "Ann Lee"),
        ("ann (2)", "ann"),
        ("IMG1234", "IMG1234"),
        ("IMG_1234", "IMG_1234"),
        ("_front", "_front"),
    ],
)
def test_names_tell_who_wears_what(stem: str, wearer: str) -> None:
    assert parse_wearer(stem) == wearer


def test_the_target_is_never_among_the_views() -> None:
    groups = group_by_wearer(["ann_1", "ann_2", "bob_1", "ann_3"])
    assert find_views(groups, "ann_2", "ann_1") == ["ann_2", "ann_3"]
    assert find_views(groups, "ann_2", "bob_1") == ["ann_2", "ann_1", "ann_3"]
    assert find_views(groups, "ann_2", "ann_2") == ["ann_2", "ann_1", "ann_3"]
    assert find_views({}, "ann_2", "ann_1") == ["ann_2"]


def test_a_twin_of_source_or_target_before_another_wall_is_no_further_view() -> None:
    """Generated people to train on are pictured twice; what stands before _ tells."""
    stems = [
        f"MENMannequinsid00000001{k:02d}_{end}" for k in range(3) for end in ("1front", "8alone")
    ]
    groups = group_by_wearer(stems)
    assert find_views(groups, stems[0], stems[3]) == [stems[0], stems[4], stems[5]]
    assert find_views(groups, stems[0], stems[1]) == [stems[0], *stems[2:]]


def test_joined_stems_come_apart_again() -> None:
    assert split_views(join_views(["a", "b-c"])) == ["a", "b-c"]
    assert split_views("a") == ["a"]


def test_sources_get_one_to_so_many_views_as_often_each_and_never_the_target() -> None:
    stems = [f"ann_{k}" for k in range(5)]
    pairs = [(a, b) for a in range(5) for b in range(5) if a != b] * 20
    rows, changed = draw_views(stems, pairs, 3, seed=1)
    assert rows[:5] == stems
    counts = Counter()
    for (source, target), (joined, goal) in zip(pairs, changed, strict=True):
        views = split_views(rows[joined])
        counts[len(views)] += 1
        assert goal == target
        assert views[0] == stems[source]
        assert stems[target] not in views
        assert len(set(views)) == len(views)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 0.25 * len(pairs)
    assert draw_views(stems, pairs, 3, seed=1) == (rows, changed)
    assert draw_views(stems, pairs, 3, seed=2) != (rows, changed)


def test_who_is_pictured_alone_stays_as_they_are() -> None:
    assert draw_views(["ann", "bob"], [(0, 1), (1, 0)], 4, seed=0) == (
        ["ann", "bob"],
        [(0, 1), (1, 0)],
    )
