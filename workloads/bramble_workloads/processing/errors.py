"""The errors that can occur between the bytes of an input and the answer.

WorkloadError                   (bramble_workloads.errors)
├─ SpecError
│  └─ DescriptionError          this code cannot carry out the package's description, or the description contradicts itself
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
    """The package's description cannot be carried out. The message names the field and its allowed values."""


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
