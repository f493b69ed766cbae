"""The numpy part of image classification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.classification import CLASSIFICATION, Label
from bramble_workloads.processing.images import IMAGES
from bramble_workloads.processing.problems import Problems
from bramble_workloads.tasks.base import AnswerTensor, D, Decoder, Outputs, Task
from bramble_workloads.tasks.classification.answer import Classified, classify, classify_of, logits_output, positive_of
from bramble_workloads.tasks.classification.fitting import fit
from bramble_workloads.tasks.classification.scoring import Confusion


class Classification(Task[Label, Classified]):
    """The task that gives one label to each picture."""

    contract = CLASSIFICATION
    medium = IMAGES
    answer_tensors = (AnswerTensor("label", "BYTES", (1,)), AnswerTensor("confidence", "FP32", (1,)))
    objective = "bramble_workloads.tasks.classification.objective:ClassificationObjective"

    def decoder(self, description: ModelDescription) -> Decoder[Classified]:
        """Decode logits by softmax, and by the threshold of the positive label if there is one."""
        operation, problems = classify_of(description), Problems()
        with problems.collected():
            output = logits_output(description)
        with problems.collected():
            positive_of(operation)
        problems.require_none()
        return lambda outputs: classify(operation, outputs[output][0])

    def scorer(self, description: ModelDescription) -> Confusion:
        """An empty confusion matrix."""
        return Confusion(classify_of(description).labels)

    def labels(self, description: ModelDescription) -> tuple[str, ...]:
        """The labels of the package."""
        return classify_of(description).labels

    def fit(self, description: D, outputs: Sequence[Outputs], truths: Sequence[Label]) -> D:
        """Fit the temperature and, if there is a positive label, its threshold."""
        operation, output = classify_of(description), logits_output(description)
        if not outputs:
            return description
        logits = np.concatenate([each[output] for each in outputs])
        true = np.array([operation.labels.index(truth.label) for truth in truths], np.int64)
        return description.model_copy(update={"postprocess": fit(operation, logits, true)})
