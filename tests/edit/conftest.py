"""Two people of the mannequin world, seen from the front."""

from pathlib import Path

import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.person.person import Person
from mcld.person.reader import PersonReader
from mcld.settings import load_settings


def fronts(dataset: DatasetLayout) -> list[Path]:
    """A frontal photo of each person."""
    pictures = [
        p for split in ("train", "test") for p in dataset.image(split, "x").parent.iterdir()
    ]
    return sorted(p for p in pictures if "1front" in p.stem)


@pytest.fixture(scope="session")
def people(dataset: DatasetLayout) -> list[Person]:
    reader = PersonReader(load_settings(None, []).prepare, "cpu", print, "head_crop")
    return [reader.person(path) for path in fronts(dataset)]


@pytest.fixture
def alice(people: list[Person]) -> Person:
    return people[0]


@pytest.fixture
def bob(people: list[Person]) -> Person:
    return people[1]
