"""Poses in files of body parameters: SMPL, SMPL-X, AMASS; and the gallery that comes with mcld."""

from __future__ import annotations

import zipfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from mcld.body.pose import JOINTS
from mcld.body.shape import BETAS
from mcld.errors import InputError

_DIGITS = 10
_LARGEST = 2**30
"""Bytes of a file's arrays, unpacked, at most."""
_LARGEST_TURN, _LARGEST_BETA = 100.0, 20.0
"""Radians of a joint's turn, and a coefficient of shape, at most; bodies are drawn up to 5."""
_UPRIGHT = 0.7
"""Cosine between the axes of a body and of its world, from which on it stands along that one."""
_POSES = ("poses", "body_pose", "pose_body", "pose", "fullpose")
_ROOTS = ("global_orient", "root_orient")
_RATES = ("mocap_framerate", "mocap_frame_rate")
"""What files of AMASS have, whose z is up."""
_PLACES = ("trans", "transl")
"""Where a body is, in metres."""
_FASTEST = 1000.0
"""Bodies a second of a motion, at most."""
_FARTHEST = 1000.0
"""Metres that a body is away, at most."""
_BODIES = (21, 23)
"""Joints of SMPL-X's and SMPL's bodies without the orientation of the whole."""
_FOLDER = Path(str(files("mcld.body")))
GALLERY, MOTIONS = _FOLDER / "gallery", _FOLDER / "motions"
"""Folders of the poses, and of the motions, that come with mcld."""

_HERE = np.zeros(3, np.float32)


class BodyParameters(NamedTuple):
    """A body as SMPL and SMPL-X describe it."""

    rotations: NDArray[np.float32]
    """[21, 3] axis-angle of the body's joints, radians."""
    orientation: NDArray[np.float32]
    """[3] axis-angle of the whole body, y up, z towards the camera."""
    betas: NDArray[np.float32]
    """[10] shape coefficients."""
    place: NDArray[np.float32] = _HERE
    """[3] metres from where the body stood first, y up, z towards the camera."""


class Motion(NamedTuple):
    """Bodies one after the other, before a camera that does not move."""

    bodies: list[BodyParameters]
    fps: float | None
    """Bodies a second; None where the file does not say."""


@cache
def list_gallery() -> tuple[str, ...]:
    """The names of the poses that come with mcld."""
    return tuple(sorted(file.stem for file in GALLERY.glob("*.npz")))


@cache
def list_motions() -> tuple[str, ...]:
    """The names of the motions that come with mcld."""
    return tuple(sorted(file.stem for file in MOTIONS.glob("*.npz")))


def is_body(path: Path) -> bool:
    """Whether a file is named as one of parameters: NAME.npz or NAME.npz#FRAME."""
    return path.name.partition("#")[0].lower().endswith(".npz")


def is_in_gallery(path: Path) -> bool:
    """Whether a path is no file but the name of a pose of the gallery."""
    return str(path) in list_gallery() and not path.exists()


def locate_motion(name: str) -> Path:
    """The file of a motion that comes with mcld. Raises InputError for another name."""
    if name not in list_motions():
        raise InputError(f"there is no motion {name}: there are {', '.join(list_motions())}")
    return MOTIONS / f"{name}.npz"


def find_motion(path: Path) -> Path:
    """The file of a motion that comes with mcld, where a path is no file but its name."""
    named = str(path) in list_motions() and not path.exists()
    return locate_motion(str(path)) if named else path


def name_file(path: Path) -> str:
    """What a record calls a file, wherever it lies; a motion that comes along has no suffix."""
    return path.stem if path.parent == MOTIONS else path.name


def read_body(path: Path) -> BodyParameters:
    """Read one body: of a motion the first frame, or that of "NAME.npz#FRAME", from 0.

    Raises InputError for what is no file of SMPL's or SMPL-X's parameters.
    """
    name, _, number = path.name.partition("#")
    if not name:
        raise InputError(f"{path} names no file of body parameters")
    if number and not (number.isdecimal() and len(number) < _DIGITS):
        raise InputError(f"{path}: #{number[:_DIGITS]} is no number of a frame")
    arrays = _load(path.with_name(name))
    read = _read_arrays(path, arrays, int(number or 0))
    return _turn_to_camera(read, arrays, read)


def read_motion(path: Path) -> Motion:
    """Read all bodies of a file; the first faces the camera.

    Raises InputError as `read_body` does, and for a motion of no more than one body.
    """
    arrays = _load(path)
    name = next((n for n in _POSES if n in arrays), None)
    frames = len(arrays[name]) if name and np.ndim(arrays[name]) > 1 else 0
    if frames < 2 or (np.ndim(arrays[name or ""]) == 2 and np.shape(arrays[name or ""])[1] == 3):
        raise InputError(f"{path} is no motion: it holds one body; --pose takes it for a picture")
    fps = None
    for rate in (rate for rate in _RATES if rate in arrays):
        given = np.ravel(_to_floats(path, rate, arrays[rate]))
        if given.shape != (1,) or not 0 < given[0] <= _FASTEST:
            raise InputError(f"{path}: {rate} is no number of bodies a second")
        fps = float(given[0])
    bodies = []
    first: BodyParameters | None = None
    for frame in range(frames):
        # Of every array the part of one frame, or each would be checked whole in every frame
        own = {n: a[frame : frame + 1] if len(np.atleast_1d(a)) == frames else a
               for n, a in arrays.items()}  # fmt: skip
        body = _read_arrays(path, own, 0)
        first = first or body
        bodies.append(_turn_to_camera(body, arrays, first))
    start = bodies[0].place
    return Motion([body._replace(place=body.place - start) for body in bodies], fps)


def read_gallery(name: str) -> BodyParameters:
    """A pose that comes with mcld. Raises InputError for another name."""
    if name not in list_gallery():
        raise InputError(f"{name} is no pose that comes with mcld: mcld sample --list-poses")
    with (GALLERY / f"{name}.npz").open("rb") as opened, np.load(opened) as file:
        arrays = dict(file)
    read = _read_arrays(Path(name), arrays, 0)
    return _turn_to_camera(read, arrays, read)


def _load(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file that count."""
    wanted = {*_POSES, *_ROOTS, *_RATES, *_PLACES, "betas"}
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _LARGEST:
            wanted.clear()  # it is no file of poses
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in content.files if name in wanted}
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except Exception as error:  # a flipped bit of an archive raises almost anything
        # NumPy advises to load pickles, which would run code in the file.
        reason = "holds Python objects" if "allow_pickle" in str(error) else "is no .npz of arrays"
        raise InputError(f"{file} {reason}: give SMPL or SMPL-X parameters") from error


def _read_arrays(path: Path, arrays: dict[str, NDArray[Any]], frame: int) -> BodyParameters:
    name = next((n for n in _POSES if n in arrays), None)
    if name is None:
        raise InputError(f"{path} holds no pose: one of {', '.join(_POSES)}")
    rotations = _read_rotations(path, name, arrays[name], frame)
    count = len(rotations)
    orientation = np.zeros(3, np.float32)
    if len(rotations) not in _BODIES:  # it begins with the body's orientation
        orientation, rotations = rotations[0], rotations[1:]
    root = next((n for n in _ROOTS if n in arrays), None)
    if root is not None:
        orientation = _read_rotations(path, root, arrays[root], frame)[0]
    if len(rotations) < len(JOINTS):
        raise InputError(
            f"{path}: {name} has {count} joints; SMPL and SMPL-X have {len(JOINTS)} or more"
        )
    betas = np.zeros(BETAS, np.float32)
    if "betas" in arrays:
        rows = np.atleast_2d(_to_floats(path, "betas", arrays["betas"]))
        given = np.ravel(rows[min(frame, len(rows) - 1)] if len(rows) else rows)[:BETAS]
        if np.abs(given).max(initial=0) > _LARGEST_BETA:
            raise InputError(f"{path}: betas up to {np.abs(given).max():g} are no body's shape")
        betas[: len(given)] = np.clip(given, -5, 5)
    place = next((_to_floats(path, n, arrays[n]) for n in _PLACES if n in arrays), _HERE)
    row = np.atleast_2d(place)[min(frame, len(np.atleast_2d(place)) - 1)] if place.size else _HERE
    if row.shape != (3,) or np.abs(row).max() > _FARTHEST:
        raise InputError(f"{path}: the place of its body is no three metres")
    return BodyParameters(rotations[: len(JOINTS)], orientation, betas, row)


def _turn_to_camera(
    body: BodyParameters, arrays: dict[str, NDArray[Any]], first: BodyParameters
) -> BodyParameters:
    """A body of a file's own world, as a camera sees it that looks at the first one's front."""
    facing = make_matrix(first.orientation)
    if any(rate in arrays for rate in _RATES) or ("poses" in arrays and _lies_back(facing)):
        upright = make_matrix([-np.pi / 2, 0, 0])
        x, _, z = upright @ facing[:, 2]
        turn = make_matrix([0, -np.arctan2(x, z), 0]) @ upright
    elif facing[1, 1] < 0:  # fitted to a photo, whose y points down
        turn = make_matrix([np.pi, 0, 0])
    else:
        turn = np.eye(3)
    turned, _ = cv2.Rodrigues(turn @ make_matrix(body.orientation))
    return body._replace(
        orientation=np.asarray(turned.ravel(), np.float32),
        place=np.asarray(turn @ body.place, np.float32),
    )


def make_matrix(vector: npt.ArrayLike) -> NDArray[np.float64]:
    """The rotation [3, 3] about an axis by an angle: [3], whose length is the angle, radians.

    By OpenCV: SciPy's rotations take as long to load as a map takes to draw.
    """
    return np.asarray(cv2.Rodrigues(np.asarray(vector, np.float64))[0])


def _read_rotations(path: Path, name: str, array: NDArray[Any], frame: int) -> NDArray[np.float32]:
    """The rotations of one frame, axis-angle [J, 3]."""
    numbers = _to_floats(path, name, array)
    try:
        if _are_matrices(numbers):
            if not _are_rotations(numbers):
                raise InputError(f"{path}: some matrices of {name} are no rotations")
            from scipy.spatial.transform import Rotation  # here, because it loads much

            vectors = Rotation.from_matrix(numbers.reshape(-1, 3, 3)).as_rotvec()
            numbers = vectors.reshape(*numbers.shape[:-2], 3).astype(np.float32)
        if name in _ROOTS:
            frames = numbers.reshape(-1, 1, 3)
        elif numbers.ndim < 2 or (numbers.ndim == 2 and numbers.shape[1] == 3):
            frames = numbers.reshape(1, -1, 3)
        else:
            frames = numbers.reshape(len(numbers), -1, 3)
    except ValueError as error:
        shape = "x".join(map(str, array.shape))
        raise InputError(
            f"{path}: {name} of shape {shape} is neither axis-angle nor rotation matrices"
        ) from error
    if frame >= len(frames) or not frames.size:
        raise InputError(f"{path}: there is no frame {frame}: {name} has {len(frames)}")
    chosen: NDArray[np.float32] = frames[frame]
    if np.abs(chosen).max() > _LARGEST_TURN:
        raise InputError(f"{path}: numbers up to {np.abs(chosen).max():g} of {name} are no turns")
    return chosen


def _are_matrices(numbers: NDArray[np.float32]) -> bool:
    """Whether the last two axes are rotation matrices; three axis-angles are as large as one."""
    if numbers.shape[-2:] != (3, 3) or numbers.ndim > 2:
        return numbers.shape[-2:] == (3, 3)
    return _are_rotations(numbers)


def _are_rotations(matrices: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        square = matrices @ np.swapaxes(matrices, -1, -2)
    return bool(np.allclose(square, np.eye(3), atol=1e-2))


def _to_floats(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    # Of a member that is no array NumPy gives the bytes.
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} holds no numbers")
    numbers = np.asarray(array, np.float32)
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: some numbers of {name} are not finite")
    return numbers


def _lies_back(facing: NDArray[np.float64]) -> bool:
    """Whether a body's up is the world's z, as in files of motions whose other arrays are gone."""
    return bool(facing[2, 1] > _UPRIGHT)
