"""Checks whether an existing object is the child that a plan wants, and whether it already has the wanted content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.api.labels import APPLIED, MANAGED_BY, MANAGED_BY_BRAMBLE, OWNER_KIND, OWNER_NAME, OWNER_NAMESPACE, OWNER_UID
from bramble.engine.cache import labels_of
from bramble.errors import Conflict, NameConflict
from bramble.kinds.plan import manifest_digest
from bramble.kube.resources import Manifest

OWNER_LABELS = (MANAGED_BY, OWNER_KIND, OWNER_NAMESPACE, OWNER_NAME)
"""The labels that name a child's owner, without its uid."""


def require_ours(found: Manifest, wanted: Manifest) -> None:
    """Check that the existing object is the wanted child: it is managed by us and belongs to the same owner, by uid.

    Raises:
        NameConflict: the object belongs to somebody else.
        Conflict: it is the child of an earlier owner of the same name; the garbage collector is about to remove it.
    """
    has, wants = labels_of(found), labels_of(wanted)
    if has.get(MANAGED_BY) == MANAGED_BY_BRAMBLE[MANAGED_BY] and has.get(OWNER_UID) == wants.get(OWNER_UID):
        return
    metadata = found["metadata"]
    where = f"{found['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")
    if all(has.get(label) == wants.get(label) for label in OWNER_LABELS):
        raise Conflict(f"{where} belongs to an earlier {wants.get(OWNER_KIND)} of this name and is still being removed")
    raise NameConflict(f"{where} exists and is not ours (uid {metadata['uid']}): delete or rename it, or use another name")


def with_digest(manifest: Manifest) -> dict[str, Any]:
    """The manifest with the digest of its content in an annotation, which `matches` compares."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED: manifest_digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def matches(live: Any, wanted: Any) -> bool:
    """True if a live object has every field of a wanted one (which `with_digest` made), so that applying it would change nothing.

    The digest among these fields shows that no field was wanted before that is no longer wanted. The other fields show that nobody has
    changed one since. Lists must be equal in length and order. Where the API server writes a value in another form (`1000m` becomes `1`),
    the result is False, and an apply without effect follows.
    """
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(name in live and matches(live[name], value) for name, value in wanted.items())
    if isinstance(wanted, list | tuple):
        same_length = isinstance(live, list | tuple) and len(live) == len(wanted)
        return same_length and all(matches(has, wants) for has, wants in zip(live, wanted, strict=True))
    return bool(live == wanted)
