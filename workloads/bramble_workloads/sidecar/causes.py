"""Uploads the cause of a failure as soon as the launcher has written one. Of several causes it uploads the one that explains the others."""

from __future__ import annotations

from typing import Any

from bramble_workloads import paths
from bramble_workloads.launch import handshake
from bramble_workloads.sidecar.context import Context


class CauseFeed:
    """Uploads the first cause of this node when it appears, and again when it changes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: list[Any] | None = None

    def upload(self) -> tuple[str, bytes] | None:
        """Upload the causes if they changed. Returns the key and the content of the first cause, or None if there is none.

        Raises:
            WorkloadError: the store refuses the upload or does not answer. The next call tries again.
        """
        found = handshake.read(self._context.run.causes)
        if found is None or not found["causes"]:
            return None
        from bramble.contracts.canonical import canonical_json
        from bramble.contracts.cause import Cause, first_cause
        from bramble.contracts.store import cause_key

        here = {"nodeRank": self._context.node_rank, "node": paths.node_name(), "pod": paths.pod_name()}
        causes = [Cause.model_validate({**document, **here}) for document in found["causes"]]
        first = first_cause(causes)
        key = cause_key(self._context.prefix, self._context.node_rank)
        content = canonical_json(first)
        if found["causes"] != self._seen:
            self._context.store.put(key, content)
            rest = f"{key.removesuffix('.json')}-ranks.json"
            every = [cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in causes]
            self._context.store.put(rest, canonical_json(every))
            self._seen = found["causes"]
        return key, content

    @staticmethod
    def warm_up() -> None:
        """Import the modules for a cause early, because a cause must be in the store before the pod is deleted."""
        import bramble.contracts.canonical
        import bramble.contracts.cause
        import bramble.contracts.jobs  # noqa: F401

    def changed(self) -> bool:
        """True if the launcher has written causes that are not uploaded yet."""
        found = handshake.read(self._context.run.causes)
        return found is not None and found["causes"] != self._seen
