"""Reads what a Rollout's plan looks at."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from bramble.api.conditions import find, is_true
from bramble.api.fleet import KIND as FLEET_KIND
from bramble.api.fleet import Spec as FleetSpec
from bramble.api.labels import AGENT, OWNER_KIND, OWNER_NAME, OWNER_NAMESPACE, agent_label
from bramble.api.modelversion import KIND as MODEL_VERSION_KIND
from bramble.api.objects import Invalid, Object, parse
from bramble.api.rollout import KIND, Release, Spec, Status
from bramble.contracts.assignment import KEY, Assignment, Blob, PackageBlobs, assignment_name
from bramble.contracts.canonical import digest_of
from bramble.contracts.package import Package
from bramble.contracts.store import blob_key
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.rollout.observed import FleetSeen, Hold, Observed, Written
from bramble.kinds.sources import Devices, Sources
from bramble.kube.resources import CONFIG_MAP, FLEET, MODEL_VERSION, NODE, ROLLOUT, Key, Manifest, key_of

ANY = "*"


def depends_on(manifest: Manifest) -> tuple[Key, ...]:
    """The Fleet and what its devices say, the version wanted, nodes, and other Rollouts of the namespace."""
    namespace, spec = manifest["metadata"]["namespace"], manifest.get("spec") or {}
    fleet = (spec.get("fleetRef") or {}).get("name", "")
    version = (spec.get("modelVersionRef") or {}).get("name", "")
    return (
        Key(FLEET.kind, "", fleet),
        Key("Report", "", fleet),
        Key(NODE.kind, "", ANY),
        Key(MODEL_VERSION.kind, namespace, version),
        Key(ROLLOUT.kind, namespace, ANY),
    )


async def gather(key: Key, sources: Sources) -> Observed | Invalid[Status] | None:
    """Everything for one pass; None when the Rollout is gone."""
    manifest = await sources.get(ROLLOUT, key.namespace, key.name)
    if manifest is None:
        return None
    rollout = parse(KIND, manifest)
    if isinstance(rollout, Invalid):
        return rollout
    fleet = await gather_fleet(rollout, sources)
    wanted, hold = await gather_wanted(rollout, fleet, sources)
    model = next((release.model for release in (rollout.status.candidate, rollout.status.stable, wanted) if release is not None), "")
    written = await gather_assignment(rollout, model, sources)
    devices = sources.devices(fleet.name)
    if fleet.hold is not None and written is not None:
        boards = written.assignment.nodes.items()
        fleet = replace(fleet, nodes={node: board for board, nodes in boards for node in nodes})
    elif fleet.hold is not None and rollout.metadata.deleted is not None:
        fleet = replace(fleet, nodes=told_by(rollout.metadata.uid, devices))
    blobs, hold = await gather_blobs(rollout, wanted, written, hold, sources)
    return Observed(
        rollout=rollout,
        fleet=fleet,
        wanted=wanted if hold is None else None,
        wanted_hold=hold,
        devices=devices,
        written=written,
        blobs=blobs,
        rival=await gather_rival(rollout, model, written, sources),
        namespace=sources.settings.namespace,
    )


def told_by(uid: str, devices: Devices) -> dict[str, str]:
    """Devices that last said that they do what this Rollout told them, with their boards."""
    reports = (seen.report for seen in devices.reports.values())
    return {report.node: report.board for report in reports if any(running.rollout_uid == uid for running in report.running)}


async def gather_fleet(rollout: Object[Spec, Status], sources: Sources) -> FleetSeen:
    """The fleet's nodes, by the label that the operator puts on those whose agent it wants there."""
    name, namespace = rollout.spec.fleet_ref.name, rollout.metadata.namespace
    manifest = await sources.get(FLEET, "", name)
    if manifest is None:
        return FleetSeen(name, hold=Hold("FleetMissing", f"spec.fleetRef.name: there is no Fleet {name!r}; make it, or name another"))
    fleet = parse(FLEET_KIND, manifest)
    if isinstance(fleet, Invalid):
        return FleetSeen(name, hold=Hold("FleetInvalid", f"Fleet {name!r} cannot be used: {fleet.problem}"))
    if namespace not in fleet.spec.allowed_namespaces:
        message = f"Fleet {name!r} does not list namespace {namespace!r} in spec.allowedNamespaces; its owner must add it"
        return FleetSeen(name, hold=Hold("FleetNotAllowed", message))
    return fleet_seen(name, fleet.spec, sources)


def fleet_seen(name: str, spec: FleetSpec, sources: Sources) -> FleetSeen:
    """The nodes of each board, and their strata."""
    nodes: dict[str, str] = {}
    strata: dict[str, tuple[str, ...]] = {}
    for board in spec.boards:
        for node in sources.list(NODE, labels={AGENT: agent_label(name, board.name)}):
            labels = node["metadata"].get("labels") or {}
            nodes[node["metadata"]["name"]] = board.name
            strata[node["metadata"]["name"]] = tuple(labels.get(label, "") for label in spec.stratify_by)
    return FleetSeen(name, nodes, strata)


async def gather_wanted(rollout: Object[Spec, Status], fleet: FleetSeen, sources: Sources) -> tuple[Release | None, Hold | None]:
    """The version that the spec names, or why it cannot be rolled out. A version that is not Ready still has its name and uid."""
    ref, namespace = rollout.spec.model_version_ref.name, rollout.metadata.namespace
    manifest = await sources.get(MODEL_VERSION, namespace, ref)
    if manifest is None:
        return None, Hold("ModelVersionMissing", f"spec.modelVersionRef.name: there is no ModelVersion {ref!r} yet; waiting for it")
    version = parse(MODEL_VERSION_KIND, manifest)
    if isinstance(version, Invalid):
        return None, Hold("ModelVersionInvalid", f"ModelVersion {ref!r} cannot be used: {version.problem}")
    packages = {target.board: target.package for target in version.status.targets if target.fleet == fleet.name}
    release = Release(ref=ref, uid=version.metadata.uid, model=version.spec.model, version=version.spec.version, packages=packages)
    if fleet.hold is not None:
        return release, fleet.hold
    if version.metadata.deleted is not None:
        return release, Hold("ModelVersionDeleted", f"ModelVersion {ref!r} is being deleted; name another version")
    present = rollout.status.candidate or rollout.status.stable
    if present is not None and present.model != release.model:
        message = (
            f"spec.modelVersionRef.name: {ref!r} is of model {release.model!r}, and this Rollout keeps {present.model!r}; make another"
        )
        return release, Hold("OtherModel", message)
    if not is_true(version.status.conditions, "Ready"):
        said = find(version.status.conditions, "Ready")
        return release, Hold(
            "ModelVersionNotReady", f"ModelVersion {ref!r} is not Ready: {said['message'] if said else 'nothing is known yet'}"
        )
    if bare := sorted(set(fleet.nodes.values()) - set(packages)):
        message = f"ModelVersion {ref!r} was never measured on board {', '.join(bare)} of this fleet; add it to its spec.benchmark"
        return release, Hold("NoEvidence", message)
    return release, None


async def gather_assignment(rollout: Object[Spec, Status], model: str, sources: Sources) -> Written | None:
    """The assignment by its name; while no version is known, the one that carries this Rollout's labels."""
    settings, metadata = sources.settings, rollout.metadata
    if model:
        name = assignment_name(rollout.spec.fleet_ref.name, metadata.namespace, model)
        manifest = await sources.get(CONFIG_MAP, settings.namespace, name)
    else:
        labels = {OWNER_KIND: ROLLOUT.kind, OWNER_NAME: metadata.name, OWNER_NAMESPACE: metadata.namespace}
        manifest = next(iter(sources.list(CONFIG_MAP, settings.namespace, labels)), None)
    if manifest is None:
        return None
    metadata = manifest["metadata"]
    try:
        assignment = Assignment.model_validate_json((manifest.get("data") or {}).get(KEY, ""))
    except ValidationError:
        return None  # somebody edited it into nonsense, which devices are not told: it is written again as if it were not there
    return Written(metadata["uid"], metadata["resourceVersion"], assignment)


async def gather_blobs(
    rollout: Object[Spec, Status], wanted: Release | None, written: Written | None, hold: Hold | None, sources: Sources
) -> tuple[dict[str, PackageBlobs], Hold | None]:
    """What each package consists of: from the assignment where it stands there already, so that an undo needs no store.

    Nor does the end of a Rollout, or taking a candidate back for a version that the store does not tell of now.
    """
    known = dict(written.assignment.packages) if written is not None else {}
    if rollout.metadata.deleted is not None:
        return known, hold
    releases = [rollout.status.stable, rollout.status.candidate, *([wanted] if wanted is not None and hold is None else [])]
    for release in releases:
        for digest in release.packages.values() if release is not None else ():
            if digest in known:
                continue
            try:
                content = await sources.fetch(rollout.metadata.namespace, blob_key(digest))
            except (StoreRefused, StoreUnavailable) as error:
                if release is not wanted:
                    raise
                hold = hold or Hold(type(error).__name__, str(error))
                continue
            if content is None:
                hold = hold or Hold("PackageMissing", f"the store has no package {digest}; it was deleted by hand: make a new version")
                continue
            try:
                known[digest] = closure(digest, content)
            except ValueError as error:
                hold = hold or Hold("PackageInvalid", f"package {digest} cannot be rolled out: {error}; make a new version")
    return known, hold


def closure(digest: str, content: bytes) -> PackageBlobs:
    """The package's own document first, then every blob that it names.

    Raises:
        ValueError: the document is no package, not this one, or names a blob without its size.
    """
    package = Package.model_validate_json(content)
    if digest_of(content) != digest:
        raise ValueError("its document is not what its name says")
    sizes = package.blobs()
    if unsized := sorted(name for name, size in sizes.items() if size is None):
        raise ValueError(f"its files do not list {len(unsized)} of its blobs, such as {unsized[0]}")
    blobs = [Blob(sha256=name, bytes=size) for name, size in sorted(sizes.items()) if size is not None]
    return PackageBlobs(blobs=(Blob(sha256=digest, bytes=len(content)), *blobs))


async def gather_rival(rollout: Object[Spec, Status], model: str, written: Written | None, sources: Sources) -> str | None:
    """The Rollout of the same model on the same fleet that has it: the one that devices hear already, else the older.

    Older is by creation and then by uid (design, §2); but what a fleet runs is never taken from it by a Rollout that
    learned its model later.
    """
    metadata = rollout.metadata
    heard = written.assignment.rollout_uid if written is not None else ""
    if not model or heard == metadata.uid:
        return None
    for manifest in sources.list(ROLLOUT, metadata.namespace):
        other = parse(KIND, manifest)
        if isinstance(other, Invalid) or other.metadata.uid == metadata.uid or other.spec.fleet_ref != rollout.spec.fleet_ref:
            continue
        before = other.metadata.uid == heard or (other.metadata.created, other.metadata.uid) < (metadata.created, metadata.uid)
        if before and await model_of(other, sources) == model:
            return key_of(manifest).name
    return None


async def model_of(rollout: Object[Spec, Status], sources: Sources) -> str:
    """The model that a Rollout keeps, or wants to."""
    present = rollout.status.candidate or rollout.status.stable
    if present is not None:
        return present.model
    manifest = await sources.get(MODEL_VERSION, rollout.metadata.namespace, rollout.spec.model_version_ref.name)
    return str(manifest["spec"].get("model", "")) if manifest is not None else ""
