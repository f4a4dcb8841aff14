"""The mannequin world: dressed, posed figures rendered with their IUV maps.

    someone = identity(seed=0, index=7)
    image, iuv = render(someone, pose(seed=0, index=7, picture=0))

Its styles are two: dolls, and people as photos show them (`mcld.mannequin.world.people`).
"""

from mcld.body.pose import Pose
from mcld.body.shape import BodyShape
from mcld.mannequin.world.clothes import Clothes
from mcld.mannequin.world.dolls import Identity, identity, render
from mcld.mannequin.world.face import Face
from mcld.mannequin.world.poses import VIEWS, pose

__all__ = [
    "VIEWS",
    "BodyShape",
    "Clothes",
    "Face",
    "Identity",
    "Pose",
    "identity",
    "pose",
    "render",
]
