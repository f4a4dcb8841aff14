"""What networks read of people, whatever runs them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcld.person.person import Person
from mcld.pipeline_inputs import InputForm, PipelineInputs
from mcld.sampling_options import SamplingOptions


class Networks(Protocol):
    """A pipeline, in PyTorch or as graphs."""

    @property
    def input_form(self) -> InputForm:
        """In what form its networks read pictures and maps."""


def read_inputs(
    pipeline: Networks,
    people: Sequence[Person],
    pose: NDArray[np.uint8],
    options: SamplingOptions,
    view: Person | None = None,
) -> PipelineInputs:
    """People and the pose to show them in, uint8 [H, W, 3] (I, U, V), at the networks' sizes.

    view: whose photo is embedded; None: of several photos of a person that which shows the most of
    the pose.
    """
    form = pipeline.input_form
    return form.read(
        [(view or person.choose_view(pose)).photo for person in people],
        [person.texture for person in people],
        [pose] * len(people),
        np.stack([person.face for person in people]),
        options.height,
        options.width,
        None if form.refiner_scale is None else [person.atlas for person in people],
    )
