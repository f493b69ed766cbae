"""Errors between the bytes of an input and an answer.

WorkloadError                   (bramble_workloads.errors)
├─ SpecError
│  └─ DescriptionError          the package asks for what this code cannot do, or contradicts itself
└─ BadData
   ├─ InputError                this one input cannot be processed
   │  ├─ TooLarge               it has more bytes or pixels than the package takes
   │  ├─ UnsupportedMedia       the package does not take its media type
   │  └─ CorruptPicture         it cannot be decoded, or its shape does not fit the graph
   └─ ModelFault                the graph failed, or its outputs are not what the package states
"""

from __future__ import annotations

from bramble_workloads.errors import BadData, SpecError


class DescriptionError(SpecError):
    """The package's description cannot be carried out; the message names the field and what it may hold."""


class InputError(BadData):
    """This one input cannot be processed. It does not count as an error of the model."""


class TooLarge(InputError):
    """The input has more bytes or pixels than the package takes."""


class UnsupportedMedia(InputError):
    """The input is not of one of the package's media types."""


class CorruptPicture(InputError):
    """The picture cannot be decoded, or the operations cannot bring it to the shape of the graph's tensor."""


class ModelFault(BadData):
    """The graph failed, or its outputs have another shape than the package states, or are not finite numbers."""
