"""Who counts of several people."""

import numpy as np
import pytest

from mcld.estimators.people import choose_person, count_people, explain_absence

BOXES = np.array([[0, 0, 10, 10], [0, 0, 30, 40], [5, 5, 90, 90], [0, 0, 1, 1]], np.float32)
SCORES = np.array([0.9, 0.8, 0.2, 0.1], np.float32)  # two people, two guesses


@pytest.mark.parametrize(
    ("person", "row"),
    [("confident", 0), ("largest", 1), (1, 0), (2, 1), (3, None), (4, None)],
)
def test_the_person_that_counts_is_chosen(person, row):
    assert choose_person(BOXES, SCORES, person) == row


def test_a_number_means_nothing_where_one_person_is_seen():
    assert count_people(SCORES[[0, 2, 3]]) == 1
    for person in (1, 2, 7, "largest", "confident"):
        assert choose_person(BOXES[[0, 2, 3]], SCORES[[0, 2, 3]], person) == 0


def test_why_nobody_counts_is_told():
    assert explain_absence("confident") == explain_absence(1) == "no person was found"
    assert explain_absence(3) == "fewer than 3 people were found"
