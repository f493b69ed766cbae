"""What ends one variant and leaves the others alone.

BadData                   (bramble_workloads.errors)
└── NotConvertible        this variant cannot be made of this model; becomes its outcome
"""

from __future__ import annotations

from bramble_workloads.errors import BadData


class NotConvertible(BadData):
    """The message is the variant's reason: what could not be done, and what to change."""
