"""One pass over a split with every graph that there is: each picture is read, decoded and preprocessed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.manifest import Sample
from bramble_workloads.convert.errors import NotConvertible
from bramble_workloads.convert.forms import FLOAT32, Form, Wanted
from bramble_workloads.convert.source import Source
from bramble_workloads.evaluate.answers import rows
from bramble_workloads.evaluate.samples import pictures
from bramble_workloads.evaluate.step import told
from bramble_workloads.job import Work
from bramble_workloads.processing.errors import ModelFault

Logits = NDArray[np.float32]


class Given(NamedTuple):
    """What every graph gave for a split: logits [samples, labels] in the order of `samples`, or why there are none."""

    samples: list[Sample]
    logits: dict[Wanted, Logits | NotConvertible]

    def of(self, form: Wanted) -> Logits:
        """Raises NotConvertible: this graph failed on the split, or was never made."""
        found = self.logits[form]
        if isinstance(found, NotConvertible):
            raise found
        return found


def run_split(
    work: Work[ConvertJob], source: Source, forms: Mapping[Wanted, Form | NotConvertible], samples: Sequence[Sample], split: str
) -> Given:
    """Run every graph on every sample.

    Raises:
        BadData: a picture cannot be processed, or the float32 graph fails, without which there is nothing to compare with.
    """
    made = {name: form for name, form in forms.items() if isinstance(form, Form)}
    running = rows([form.model for form in made.values()], pictures(work.store.get_blob, source.manifest, samples))
    found = list(told(work, f"{split}: {len(made)} graphs have answered", len(samples), running))
    logits: dict[Wanted, Logits | NotConvertible] = {name: form for name, form in forms.items() if isinstance(form, NotConvertible)}
    for position, name in enumerate(made):
        logits[name] = _stacked([row.logits[position] for row in found], split, name)
    return Given([row.sample for row in found], logits)


def _stacked(column: Sequence[Logits | ModelFault], split: str, name: Wanted) -> Logits | NotConvertible:
    arrays = []
    for each in column:
        if isinstance(each, ModelFault):
            if name == FLOAT32:
                raise each
            return NotConvertible(f"the {name.precision} graph fails on the {split} split: {each}")
        arrays.append(each)
    return np.stack(arrays)
