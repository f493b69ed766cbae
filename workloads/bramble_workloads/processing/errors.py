"""What can go wrong between a picture's bytes and an answer.

WorkloadError                   (bramble_workloads.errors)
├─ SpecError
│  └─ DescriptionError          the package asks for what this code cannot do, or contradicts itself
└─ BadData
├─ InputError                the request's own fault
│  ├─ TooLarge               more bytes or pixels than the package takes
│  ├─ UnsupportedMedia       a media type that the package does not take
│  └─ CorruptPicture         not decodable, or of a shape that the operations cannot bring to the tensor's
└─ ModelFault                the graph failed or gave what its package does not promise
"""

from __future__ import annotations

from bramble_workloads.errors import BadData, SpecError


class DescriptionError(SpecError):
    """The package's description cannot be carried out; the message names the field and what it may hold."""


class InputError(BadData):
    """This one input cannot be processed; the model is not to blame."""


class TooLarge(InputError):
    """More bytes or pixels than the package takes."""


class UnsupportedMedia(InputError):
    """Not one of the package's media types."""


class CorruptPicture(InputError):
    """Not decodable, or of a shape that the operations cannot bring to the tensor's."""


class ModelFault(BadData):
    """The graph failed, or gave what its package does not promise: another shape, or numbers that are not finite."""
