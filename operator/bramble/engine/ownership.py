"""Whether an object of a child's name is that child, and whether it already says what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.api.labels import APPLIED, MANAGED_BY, MANAGED_BY_BRAMBLE, OWNER_KIND, OWNER_NAME, OWNER_NAMESPACE, OWNER_UID
from bramble.contracts.canonical import document_digest, short
from bramble.engine.cache import labels_of
from bramble.errors import Conflict, NameConflict
from bramble.kube.resources import Manifest

WHO = (MANAGED_BY, OWNER_KIND, OWNER_NAMESPACE, OWNER_NAME)


def require_ours(found: Manifest, wanted: Manifest) -> None:
    """Pass when the object that is there is the child that is wanted.

    Raises:
        NameConflict: it is somebody else's.
        Conflict: it is the child of an earlier object of the same name, which the garbage collector is about to remove.
    """
    has, wants = labels_of(found), labels_of(wanted)
    if has.get(MANAGED_BY) == MANAGED_BY_BRAMBLE[MANAGED_BY] and has.get(OWNER_UID) == wants.get(OWNER_UID):
        return
    metadata = found["metadata"]
    where = f"{found['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")
    if all(has.get(label) == wants.get(label) for label in WHO):
        raise Conflict(f"{where} belongs to an earlier {wants.get(OWNER_KIND)} of this name and is still being removed")
    raise NameConflict(f"{where} exists and is not ours (uid {metadata['uid']}); delete or rename it, or use another name")


def marked(manifest: Manifest) -> dict[str, Any]:
    """The manifest with the digest of itself in an annotation, so that equal ones are told at sight."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED: short(document_digest(manifest))}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def says(found: Manifest, wanted: Manifest) -> bool:
    """Whether the object that is there holds all that the marked manifest states, and came of an equal one.

    The annotation alone would miss what somebody changed since; the fields alone would miss one that is no longer
    wanted. Where the API server writes a value in another form (`1000m` for `1`), the answer is False, and an apply
    that changes nothing follows.
    """
    annotations = found["metadata"].get("annotations") or {}
    return annotations.get(APPLIED) == wanted["metadata"]["annotations"][APPLIED] and _holds(found, wanted)


def _holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(name in found and _holds(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list | tuple):
        same_length = isinstance(found, list | tuple) and len(found) == len(wanted)
        return same_length and all(_holds(has, wants) for has, wants in zip(found, wanted, strict=True))
    return bool(found == wanted)
