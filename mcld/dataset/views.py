"""Which pictures of a dataset show one person in the same clothes: views to gather a texture from.

Names tell: DeepFashion's up to the outfit, others up to their last word ("ann_front", "ann-2").
Several views are written as one stem, joined by a slash, which no picture's stem holds.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from mcld.dataset.layout import parse_identity, parse_outfit
from mcld.errors import InputError

GENERATED = "Mannequins"
"""The category in the names of generated people."""
_CAMERAS = ("img", "dsc", "dscn", "dscf", "pxl", "photo", "image", "picture", "screenshot")
"""What cameras begin names with, which then say nothing of who is shown."""
MOST_VIEWS = 4
"""Pictures of a person that are gathered, at most."""


def parse_wearer(stem: str) -> str:
    """The person and the clothes in a stem; of one that names nobody, all of it."""
    try:
        # Generated people have one outfit, and their pictures' numbers in its place.
        return (parse_identity if GENERATED in stem else parse_outfit)(stem)
    except InputError:
        found = re.fullmatch(r"(.*[^\W_])[\W_]+[^\W_]+[\W_]*", stem)
        return found[1] if found and found[1].lower() not in _CAMERAS else stem


def group_by_wearer(stems: Iterable[str]) -> dict[str, list[str]]:
    """The stems of each wearer, in their order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        groups[parse_wearer(stem)].append(stem)
    return dict(groups)


def find_views(groups: Mapping[str, Sequence[str]], source: str, target: str) -> list[str]:
    """All that may be gathered for a pair: the source first, and never the target."""
    others = groups.get(parse_wearer(source), ())
    taken = {_find_shot(source), _find_shot(target)}
    return [source, *(stem for stem in others if _find_shot(stem) not in taken)]


def _find_shot(stem: str) -> str:
    """What a picture shows; of generated people to train on two show the same, but for the wall."""
    return stem.partition("_")[0] if GENERATED in stem else stem


def join_views(stems: Iterable[str]) -> str:
    """Several stems as one; of a single one, that."""
    return "/".join(stems)


def split_views(stem: str) -> list[str]:
    """The stems in one that `join_views` made, or that of a picture."""
    return stem.split("/")


def draw_views(
    stems: Sequence[str], pairs: Sequence[tuple[int, int]], most: int, seed: int
) -> tuple[list[str], list[tuple[int, int]]]:
    """Give the source of every pair 1 to `most` views, as many as often.

    pairs: rows of `stems`, source and target. Returns stems to which those of several views are
    added, and the pairs as rows of them. A pair always has the same views.
    """
    groups = group_by_wearer(stems)
    rows = {stem: row for row, stem in enumerate(stems)}
    changed = []
    for number, (source, target) in enumerate(pairs):
        first, *others = find_views(groups, stems[source], stems[target])
        rng = Random(f"{seed} {number}")  # noqa: S311 - nobody is kept out by it
        count = min(rng.randrange(most), len(others))
        chosen = sorted(rng.sample(range(len(others)), count))
        joined = join_views([first, *(others[k] for k in chosen)])
        changed.append((rows.setdefault(joined, len(rows)), target))
    return list(rows), changed
