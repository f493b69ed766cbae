"""The one implementation of what a package describes: numpy, Pillow and ONNX Runtime, no torch.

Training's validation, calibration, evaluation, the benchmark and the device use it, so that a model sees the same picture everywhere.
`preprocess` and `postprocess` work on a description alone; `Model` (in `processing.model`) adds the graph, `processing.golden` the check.
"""

from bramble_workloads.processing.errors import CorruptPicture, DescriptionError, InputError, ModelFault, TooLarge, UnsupportedMedia
from bramble_workloads.processing.postprocess import Classified, classify, postprocess
from bramble_workloads.processing.preprocess import Preprocessor, preprocess

__all__ = [
    "Classified",
    "CorruptPicture",
    "DescriptionError",
    "InputError",
    "ModelFault",
    "Preprocessor",
    "TooLarge",
    "UnsupportedMedia",
    "classify",
    "postprocess",
    "preprocess",
]
