"""Telea's inpainting, fast enough for 24 charts a picture.

A. Telea, An image inpainting technique based on the fast marching method, 2004. OpenCV has it, but
there it takes 0.5 to 0.9 s a picture: it finds the weights of all neighbours once for each colour,
and their gradients again for every pixel that looks at them. This is the same march with shared
weights and kept gradients, compiled by numba.

The working array is one row of numbers, plane after plane: distance, three colours, their gradients
along x, and along y. Inside compiled loops a view of a plane would cost more than the work on it,
and an index without a sign is not checked for one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcld.machine.jit import jit

RADIUS = 3
_BORDER = RADIUS + 1
_BINS = 64
"""Buckets of the narrow band to a pixel of distance."""
_LONGEST = 24
"""Pixels of distance that the buckets tell apart; what is further goes into the last."""
_PLANES = 10
_ALONG_X, _ALONG_Y = 4, 7
"""The first planes of the gradients; distance is plane 0, the colours are planes 1 to 3."""

# fastmath lets the sums over neighbours go through vector registers: a texture map takes 31 ms with
# it and 69 ms without. As it also lets LLVM round differently wherever it inlines, everything is
# inlined here: else a process that compiles would round unlike one that reads numba's cache.
_f = np.float32
_u = np.uint64
_FAR = _f(1e30)
"""The distance of what is not known yet: it takes away all weight."""

_y, _x = np.mgrid[-2:3, -3:5]
_SQUARED = (_x**2 + _y**2).ravel().astype(np.float64)
_WEIGHTS = np.where(
    (_SQUARED > 0) & (_SQUARED <= RADIUS**2), np.maximum(_SQUARED, 1) ** -1.5, 0
).astype(np.float32)
"""Of the neighbours two rows up to two rows down, eight lanes a row. The two that are three rows
away are taken by themselves."""
_TOWARDS_X = (-_x).ravel().astype(np.float32)
_WEIGHT_3 = _f(RADIUS**-3.0)


def inpaint(colours: NDArray[np.uint8], holes: NDArray[np.bool_], reach: NDArray[np.bool_]) -> None:
    """Fill holes of a picture from what surrounds them, in place. Other threads run on.

    colours: uint8 [H, W, 3]. holes: bool [H, W], what is not known. reach: bool [H, W], which holes
    to fill; the others stay as they are and lend nothing to their neighbours.
    """
    height, width = holes.shape
    stride = width + 2 * _BORDER
    todo = np.zeros(stride * (height + 2 * _BORDER), np.uint8)
    planes = np.zeros(_PLANES * len(todo), np.float32)
    _march(colours, holes, reach, planes, todo, stride, _WEIGHTS, _TOWARDS_X)


@jit(fastmath=True, error_model="numpy", inline="always")
def _keep_gradients(planes: Any, at: Any, along: Any, first_kept: int, size: Any) -> None:
    """Keep the colours' gradients along one axis at a known pixel and at its two neighbours there.

    They are taken as far as neighbours are known. Only their direction counts in the end, so that
    OpenCV, and this, may double what is taken from both sides.
    """
    p, step = _u(at), _u(along)
    before, after = planes[p - step] < _FAR, planes[p + step] < _FAR
    two_before, two_after = planes[p - step - step] < _FAR, planes[p + step + step] < _FAR
    for k in range(3):
        colour, kept = _u(1 + k) * size + p, _u(first_kept + k) * size + p
        here, above, below = planes[colour], planes[colour - step], planes[colour + step]
        if after:
            further = planes[colour + step + step]
            planes[kept + step] = (further - here) * _f(2) if two_after else below - here
            planes[kept] = (below - above) * _f(2) if before else below - here
        else:
            planes[kept] = here - above if before else _f(0)
        if before:
            further = planes[colour - step - step]
            planes[kept - step] = (here - further) * _f(2) if two_before else here - above


@jit(fastmath=True, error_model="numpy", inline="always")
def _slope(before: Any, here: Any, after: Any) -> Any:
    """The gradient of distance along one axis."""
    if after < _FAR:
        return (after - before) * _f(0.5) if before < _FAR else after - here
    return here - before if before < _FAR else _f(0)


@jit(fastmath=True, error_model="numpy", inline="always")
def _level(mean: Any, x: Any, y: Any) -> Any:
    """A colour from its weighted mean and the direction in which it grows."""
    level = np.floor(mean + (x + y) / (np.sqrt(x * x + y * y) + _f(1e-20)) + _f(1))
    return min(max(level, _f(0)), _f(255))


@jit(fastmath=True, error_model="numpy", inline="always")
def _neighbour(
    planes: Any, u: Any, size: Any, here: Any, weight: Any, along: Any, left: Any, up: Any
) -> Any:
    """What one neighbour adds: its weight, and its colours and their gradients by that weight."""
    along = along if along > _f(0.01) else _f(1e-6)
    w = weight * along / (_f(1) + abs(planes[u] - here))
    w_left, w_up = -w * left, -w * up
    return (
        w,
        w * planes[u + size],
        w * planes[u + _u(2) * size],
        w * planes[u + _u(3) * size],
        w_left * planes[u + _u(4) * size],
        w_left * planes[u + _u(5) * size],
        w_left * planes[u + _u(6) * size],
        w_up * planes[u + _u(7) * size],
        w_up * planes[u + _u(8) * size],
        w_up * planes[u + _u(9) * size],
    )


@jit(fastmath=True, error_model="numpy", inline="always")
def _estimate(planes: Any, at: Any, stride: Any, size: Any, weights: Any, towards_x: Any) -> None:
    """Set the colour of a pixel, whose distance is known, from its known neighbours."""
    p = _u(at)
    here = planes[p]
    slope_x = _slope(planes[p - _u(1)], here, planes[p + _u(1)])
    slope_y = _slope(planes[p - stride], here, planes[p + stride])
    w = _f(1e-30)
    r = g = b = rx = gx = bx = ry = gy = by = _f(0)
    for lane in range(8):  # the rows are written out, so that one addition of lanes is enough
        v = _u(lane)
        u = p + v - _u(3)
        left = towards_x[v]
        tilt = slope_x * left
        n = _neighbour(
            planes,
            u - stride - stride,
            size,
            here,
            weights[v],
            abs(tilt + slope_y * _f(2)),
            left,
            _f(2),
        )
        m = _neighbour(
            planes, u - stride, size, here, weights[v + _u(8)], abs(tilt + slope_y), left, _f(1)
        )
        o = _neighbour(planes, u, size, here, weights[v + _u(16)], abs(tilt), left, _f(0))
        q = _neighbour(
            planes, u + stride, size, here, weights[v + _u(24)], abs(tilt - slope_y), left, _f(-1)
        )
        s = _neighbour(
            planes,
            u + stride + stride,
            size,
            here,
            weights[v + _u(32)],
            abs(tilt - slope_y * _f(2)),
            left,
            _f(-2),
        )
        w += n[0] + m[0] + o[0] + q[0] + s[0]
        r += n[1] + m[1] + o[1] + q[1] + s[1]
        g += n[2] + m[2] + o[2] + q[2] + s[2]
        b += n[3] + m[3] + o[3] + q[3] + s[3]
        rx += n[4] + m[4] + o[4] + q[4] + s[4]
        gx += n[5] + m[5] + o[5] + q[5] + s[5]
        bx += n[6] + m[6] + o[6] + q[6] + s[6]
        ry += n[7] + m[7] + q[7] + s[7]
        gy += n[8] + m[8] + q[8] + s[8]
        by += n[9] + m[9] + q[9] + s[9]
    far = _u(3) * stride
    n = _neighbour(planes, p - far, size, here, _WEIGHT_3, abs(slope_y * _f(3)), _f(0), _f(3))
    m = _neighbour(planes, p + far, size, here, _WEIGHT_3, abs(slope_y * _f(3)), _f(0), _f(-3))
    w += n[0] + m[0]
    planes[p + size] = _level((r + n[1] + m[1]) / w, rx, ry + n[7] + m[7])
    planes[p + _u(2) * size] = _level((g + n[2] + m[2]) / w, gx, gy + n[8] + m[8])
    planes[p + _u(3) * size] = _level((b + n[3] + m[3]) / w, bx, by + n[9] + m[9])


@jit(fastmath=True, error_model="numpy", inline="always")
def _load(colours: Any, holes: Any, reach: Any, planes: Any, todo: Any, stride: int) -> None:
    """Fill the working array from the picture; what is known lies at distance -2 until `_band`."""
    height, width = holes.shape
    size = _u(len(todo))
    planes[: len(todo)] = _FAR
    for y in range(height):
        p = _u((y + _BORDER) * stride + _BORDER)
        for x in range(width):
            if holes[y, x]:
                todo[p] = reach[y, x]
            else:
                planes[p] = _f(-2)
                planes[p + size] = colours[y, x, 0]
                planes[p + _u(2) * size] = colours[y, x, 1]
                planes[p + _u(3) * size] = colours[y, x, 2]
                for k in range(_ALONG_X, _PLANES):
                    planes[p + _u(k) * size] = _f(0)
            p += _u(1)


@jit(fastmath=True, error_model="numpy", inline="always")
def _band(planes: Any, todo: Any, stride: Any, band: Any) -> int:
    """List the known pixels that touch a hole, at distance 0; those behind them come to -1."""
    count = 0
    for p in range(stride, _u(len(todo)) - stride):
        if planes[p] < _FAR and (
            todo[p - _u(1)] or todo[p + _u(1)] or todo[p - stride] or todo[p + stride]
        ):
            band[count] = p
            count += 1
    for n in range(count):
        planes[_u(band[n])] = _f(0)
    for n in range(count):
        known = _u(band[n])
        for q in (known - _u(1), known + _u(1), known - stride, known + stride):
            if planes[q] == _f(-2):
                planes[q] = _f(-1)
    return count


@jit(fastmath=True, error_model="numpy", inline="always")
def _first_gradients(planes: Any, stride: Any, size: Any) -> None:
    """Keep the gradients at and beside what is known and not black: elsewhere they are zero."""
    for p in range(_u(_BORDER) * stride, size - _u(_BORDER) * stride):
        if planes[p] < _FAR and (
            planes[p + size] + planes[p + _u(2) * size] + planes[p + _u(3) * size] > 0
        ):
            _keep_gradients(planes, p, 1, _ALONG_X, size)
            _keep_gradients(planes, p, stride, _ALONG_Y, size)


@jit(fastmath=True, error_model="numpy", inline="always")
def _distance_at(planes: Any, p: Any, stride: Any) -> Any:
    """The distance of a pixel from that of its nearest neighbours along both axes."""
    x = min(planes[p - _u(1)], planes[p + _u(1)])
    y = min(planes[p - stride], planes[p + stride])
    apart = x - y
    if abs(apart) >= 1:
        return _f(1) + min(x, y)
    return (x + y + np.sqrt(_f(2) - apart * apart)) * _f(0.5)


@jit(fastmath=True, error_model="numpy", inline="always")
def _store(colours: Any, holes: Any, reach: Any, planes: Any, stride: int, size: int) -> None:
    """Put the colours of the filled holes back into the picture."""
    for y in range(holes.shape[0]):
        for x in range(holes.shape[1]):
            if holes[y, x] and reach[y, x]:
                p = (y + _BORDER) * stride + x + _BORDER
                for k in range(3):
                    colours[y, x, k] = np.uint8(planes[(1 + k) * size + p])


@jit(fastmath=True, error_model="numpy", nogil=True)
def _march(
    colours: Any,
    holes: Any,
    reach: Any,
    planes: Any,
    todo: Any,
    width: int,
    weights: Any,
    towards_x: Any,
) -> None:
    """Go from what is known into the holes, nearest first, and put the colours back."""
    stride, size = _u(width), _u(len(todo))
    _load(colours, holes, reach, planes, todo, width)
    band = np.empty(len(todo), np.int32)
    count = _band(planes, todo, stride, band)
    _first_gradients(planes, stride, size)
    # The narrow band is a queue for every distance: `first` and `last` of each, and who is `after`.
    after = np.empty(len(todo), np.int32)
    first = np.full(_BINS * _LONGEST, -1, np.int32)
    last = np.empty(_BINS * _LONGEST, np.int32)
    for n in range(count):
        after[_u(band[n])] = band[n + 1] if n + 1 < count else -1
    if count:
        first[0], last[0] = band[0], band[count - 1]
    bucket = 0
    while bucket < len(first):
        head = first[_u(bucket)]
        if head < 0:
            bucket += 1
            continue
        popped = _u(head)
        first[_u(bucket)] = after[popped]
        # up, left, down, right, as OpenCV goes: of two that are as near, the first stays so
        for p in (popped - stride, popped - _u(1), popped + stride, popped + _u(1)):
            if not todo[p]:
                continue
            todo[p] = 0
            planes[p] = _distance_at(planes, p, stride)
            _estimate(planes, p, stride, size, weights, towards_x)
            _keep_gradients(planes, p, 1, _ALONG_X, size)
            _keep_gradients(planes, p, stride, _ALONG_Y, size)
            later = _u(max(bucket, min(int(planes[p] * _BINS), len(first) - 1)))
            after[p] = -1
            if first[later] < 0:
                first[later] = p
            else:
                after[_u(last[later])] = p
            last[later] = p
    _store(colours, holes, reach, planes, width, len(todo))
