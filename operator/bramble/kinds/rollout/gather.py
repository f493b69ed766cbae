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
from bramble.api.request import Request, unanswered
from bramble.api.rollout import KIND, Release, Spec, Status
from bramble.contracts.assignment import KEY, LABEL, Assignment, Blob, PackageBlobs, assignment_name
from bramble.contracts.base import problems_of
from bramble.contracts.canonical import digest_of
from bramble.contracts.names import first_names
from bramble.contracts.package import MAX_BYTES, Package
from bramble.contracts.store import blob_key
from bramble.contracts.untrusted import parse_untrusted
from bramble.kinds.blockers import STORE_ERRORS, Blocker, store_blocker
from bramble.kinds.requests import Refused
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.classes import PROBLEM_CHARACTERS, gather_uncounted
from bramble.kinds.rollout.elapsed import measured
from bramble.kinds.rollout.ledger_store import ledger_name
from bramble.kinds.rollout.memory import HISTORY_KEPT, promotions
from bramble.kinds.rollout.nodes import FleetSeen
from bramble.kinds.rollout.observed import Observed, StoredLedger, Written
from bramble.kinds.rollout.origins import gather_origins
from bramble.kinds.rollout.room import without_room
from bramble.kinds.sources import Devices, Sources
from bramble.kube.resources import CONFIG_MAP, FLEET, MODEL_VERSION, NODE, ROLLOUT, Key, Manifest

ANY = "*"
LISTED = 5


def depends_on(manifest: Manifest) -> tuple[Key, ...]:
    """A Rollout is planned again when one of these changes: its Fleet, a report of the fleet's devices, any node, the version that the
    spec names, or another Rollout of the namespace.
    """
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
    wanted, blocker = await gather_wanted(rollout, fleet, sources)
    model = next((release.model for release in (rollout.status.candidate, rollout.status.stable, wanted) if release is not None), "")
    written = await gather_assignment(rollout, model, sources)
    devices = sources.devices(fleet.name)
    blocker = blocker or without_room(rollout, written, fleet, devices, sources)
    if fleet.blocker is not None and written is not None:
        boards = written.assignment.nodes.items()
        fleet = replace(fleet, nodes={node: board for board, nodes in boards for node in nodes})
    elif fleet.blocker is not None and rollout.metadata.deleted is not None:
        fleet = replace(fleet, nodes=following(rollout.metadata.uid, devices))
    blobs, blocker = await gather_blobs(rollout, wanted, written, blocker, sources)
    if blocker is None and rollout.metadata.deleted is None:
        blocker = await gather_uncounted(rollout, wanted, sources)
    return Observed(
        rollout=rollout,
        fleet=fleet,
        wanted=wanted if blocker is None else None,
        blocker=blocker,
        devices=devices,
        written=written,
        blobs=blobs,
        elapsed=sources.elapsed(rollout.metadata.uid, measured(rollout.status, rollout.metadata.deleted)),
        rival=await gather_rival(rollout, model, written, sources),
        namespace=sources.settings.namespace,
        fallback=await gather_fallback(rollout, fleet, blobs, sources),
        target=await gather_target(rollout, fleet, blobs, sources),
        origins=await gather_origins(rollout, sources),
        stored_ledger=await gather_ledger(rollout, sources),
    )


def following(uid: str, devices: Devices) -> dict[str, str]:
    """Devices that last reported that they follow an assignment of this Rollout, with their boards."""
    reports = (seen.report for seen in devices.reports.values())
    return {report.node: report.board for report in reports if any(running.rollout_uid == uid for running in report.running)}


async def gather_fleet(rollout: Object[Spec, Status], sources: Sources) -> FleetSeen:
    """The fleet's nodes: those with the label by which the operator places the agents."""
    name, namespace = rollout.spec.fleet_ref.name, rollout.metadata.namespace
    manifest = await sources.get(FLEET, "", name)
    if manifest is None:
        message = f"spec.fleetRef.name: there is no Fleet {name!r}; make it, or name another"
        return FleetSeen(name, blocker=Blocker(reasons.FLEET_MISSING, message))
    fleet = parse(FLEET_KIND, manifest)
    if isinstance(fleet, Invalid):
        return FleetSeen(name, blocker=Blocker(reasons.FLEET_INVALID, f"Fleet {name!r} cannot be used: {fleet.problem}"))
    if namespace not in fleet.spec.allowed_namespaces:
        message = f"Fleet {name!r} does not list namespace {namespace!r} in spec.allowedNamespaces; its owner must add it"
        return FleetSeen(name, blocker=Blocker(reasons.FLEET_NOT_ALLOWED, message))
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


async def gather_wanted(rollout: Object[Spec, Status], fleet: FleetSeen, sources: Sources) -> tuple[Release | None, Blocker | None]:
    """The version that the spec names, as far as it is known, and why it cannot be rolled out."""
    ref, namespace = rollout.spec.model_version_ref.name, rollout.metadata.namespace
    manifest = await sources.get(MODEL_VERSION, namespace, ref)
    if manifest is None:
        message = f"spec.modelVersionRef.name: there is no ModelVersion {ref!r} yet; waiting for it"
        return None, Blocker(reasons.MODEL_VERSION_MISSING, message)
    version = parse(MODEL_VERSION_KIND, manifest)
    if isinstance(version, Invalid):
        return None, Blocker(reasons.MODEL_VERSION_INVALID, f"ModelVersion {ref!r} cannot be used: {version.problem}")
    packages = {target.board: target.package for target in version.status.targets if target.fleet == fleet.name}
    release = Release(ref=ref, uid=version.metadata.uid, model=version.spec.model, version=version.spec.version, packages=packages)
    if fleet.blocker is not None:
        return release, fleet.blocker
    if version.metadata.deleted is not None:
        return release, Blocker(reasons.MODEL_VERSION_DELETED, f"ModelVersion {ref!r} is being deleted; name another version")
    present = rollout.status.candidate or rollout.status.stable
    if present is not None and present.model != release.model:
        message = (
            f"spec.modelVersionRef.name: {ref!r} is of model {release.model!r}, and this Rollout is for {present.model!r}; make another"
        )
        return release, Blocker(reasons.OTHER_MODEL, message)
    if not is_true(version.status.conditions, "Ready"):
        ready = find(version.status.conditions, "Ready")
        why = ready["message"] if ready is not None else "it has no condition yet"
        return release, Blocker(reasons.MODEL_VERSION_NOT_READY, f"ModelVersion {ref!r} is not Ready: {why}")
    if unmeasured := sorted(set(fleet.nodes.values()) - set(packages)):
        boards = ", ".join(unmeasured)
        message = f"ModelVersion {ref!r} was never measured on board {boards} of this fleet; add it to its spec.benchmark"
        return release, Blocker(reasons.NO_EVIDENCE, message)
    return release, None


async def gather_assignment(rollout: Object[Spec, Status], model: str, sources: Sources) -> Written | None:
    """The stored assignment, by its name; while no version is known, the one that carries this Rollout's labels, as its
    evidence does too.

    An assignment that cannot be read, because somebody edited it, is treated as missing, and so is written again. The gateway gives it to
    no device.
    """
    settings, metadata = sources.settings, rollout.metadata
    if model:
        name = assignment_name(rollout.spec.fleet_ref.name, metadata.namespace, model)
        manifest = await sources.get(CONFIG_MAP, settings.namespace, name)
    else:
        labels = {OWNER_KIND: ROLLOUT.kind, OWNER_NAME: metadata.name, OWNER_NAMESPACE: metadata.namespace, LABEL: "true"}
        manifest = next(iter(sources.list(CONFIG_MAP, settings.namespace, labels)), None)
    if manifest is None:
        return None
    metadata = manifest["metadata"]
    try:
        assignment = Assignment.model_validate_json((manifest.get("data") or {}).get(KEY, ""))
    except ValidationError:
        return None
    return Written(metadata["uid"], metadata["resourceVersion"], assignment)


async def gather_ledger(rollout: Object[Spec, Status], sources: Sources) -> StoredLedger | None:
    """The stored evidence, as it is. A Rollout that serves nothing needs none; its deletion removes what an undone first version left."""
    status = rollout.status
    if status.stable is None and status.candidate is None and rollout.metadata.deleted is None:
        return None
    manifest = await sources.get(CONFIG_MAP, sources.settings.namespace, ledger_name(rollout.metadata.uid))
    return StoredLedger(manifest["metadata"]["uid"], manifest) if manifest is not None else None


async def gather_blobs(
    rollout: Object[Spec, Status], wanted: Release | None, written: Written | None, blocker: Blocker | None, sources: Sources
) -> tuple[dict[str, PackageBlobs], Blocker | None]:
    """The blobs of each package, and what keeps the wanted version from being rolled out.

    Packages that the stored assignment lists are not read from the store, so that an undo does not need it. Deletion does not read the
    store at all, and an error of the store about the wanted version alone is a blocker, so that the candidate can still be taken back.

    Raises:
        StoreRefused, StoreUnavailable: a package of the stable version or of the candidate cannot be read.
    """
    known = dict(written.assignment.packages) if written is not None else {}
    if rollout.metadata.deleted is not None:
        return known, blocker
    namespace, can_begin = rollout.metadata.namespace, blocker is None
    for release in (rollout.status.stable, rollout.status.candidate):
        if release is not None:
            blocker = blocker or await read_blobs(release, namespace, known, sources)
    if wanted is not None and can_begin:
        try:
            blocker = blocker or await read_blobs(wanted, namespace, known, sources)
        except STORE_ERRORS as error:
            blocker = store_blocker(error)
    return known, blocker


async def read_blobs(release: Release, namespace: str, known: dict[str, PackageBlobs], sources: Sources) -> Blocker | None:
    """Add the blobs of a version's packages to the known ones. Returns why a package cannot be rolled out, if that is so.

    Raises:
        StoreRefused, StoreUnavailable: a package cannot be read.
    """
    blocker = None
    for digest in release.packages.values():
        if digest in known:
            continue
        content = await sources.fetch(namespace, blob_key(digest), MAX_BYTES)
        if content is None:
            message = f"the store has no package {digest}, which somebody must have deleted; make a new version"
            blocker = blocker or Blocker(reasons.PACKAGE_MISSING, message)
            continue
        try:
            known[digest] = package_blobs(digest, content)
        except ValueError as error:
            message = f"package {digest} cannot be rolled out: {error}; make a new version"
            blocker = blocker or Blocker(reasons.PACKAGE_INVALID, message)
    return blocker


async def gather_target(
    rollout: Object[Spec, Status], fleet: FleetSeen, blobs: dict[str, PackageBlobs], sources: Sources
) -> Release | Refused | None:
    """The version that an unanswered request `undo` names, or why the fleet cannot go back to it. Its blobs are added to the known ones.

    It must have been promoted by this Rollout.
    """
    request = unanswered(rollout.metadata, rollout.status)
    if not isinstance(request, Request) or request.to is None or rollout.metadata.deleted is not None:
        return None
    history = promotions(rollout.status)
    release = next((each for each in history if each.ref == request.to), None)
    if release is None:
        if not history:
            return Refused(f"to: this Rollout has promoted no version yet, so not {request.to!r} either")
        names = first_names([each.ref for each in history], LISTED)
        known = f"the last {HISTORY_KEPT} versions" if len(history) == HISTORY_KEPT else "the versions"
        return Refused(f"to: {request.to!r} is not among {known} that this Rollout promoted: {names}")
    target = await promoted_before(rollout, release, fleet, blobs, sources)
    return Refused(f"to: {target.message}; name another version, or ask again later") if isinstance(target, Refused) else target


async def gather_fallback(
    rollout: Object[Spec, Status], fleet: FleetSeen, blobs: dict[str, PackageBlobs], sources: Sources
) -> Release | Refused | None:
    """The version that a watch would go back to, or why the fleet cannot go back to it; None where no version is watched. Its blobs are
    added to the known ones.
    """
    status, release = rollout.status, rollout.status.last_good
    if rollout.spec.analysis.watch is None or not status.promoted_at or rollout.metadata.deleted is not None:
        return None
    if fleet.blocker is not None:
        return Refused(fleet.blocker.message)
    if release is None:
        return Refused("no version was promoted before it")
    if release.uid in status.distrusted:
        return Refused(f"{release.ref}, which was promoted before it, was undone after its promotion as well")
    return await promoted_before(rollout, release, fleet, blobs, sources)


async def promoted_before(
    rollout: Object[Spec, Status], release: Release, fleet: FleetSeen, blobs: dict[str, PackageBlobs], sources: Sources
) -> Release | Refused:
    """A version that was promoted before, as the fleet can go back to it, or why it cannot. Its blobs are added to the known ones.

    Its ModelVersion must still be Ready, not one that was made anew under its name. It keeps the packages that were promoted, with those
    of boards that it was measured on since.
    """
    namespace = rollout.metadata.namespace
    manifest = await sources.get(MODEL_VERSION, namespace, release.ref)
    version = parse(MODEL_VERSION_KIND, manifest) if manifest is not None else None
    if version is None or version.metadata.uid != release.uid:
        return Refused(f"the ModelVersion {release.ref!r} that was promoted is deleted")
    if version.metadata.deleted is not None:
        return Refused(f"ModelVersion {release.ref!r} is being deleted")
    if isinstance(version, Invalid) or not is_true(version.status.conditions, "Ready"):
        return Refused(f"ModelVersion {release.ref!r} is not Ready any more")
    measured = {target.board: target.package for target in version.status.targets if target.fleet == fleet.name}
    target = release.model_copy(update={"packages": {**measured, **release.packages}})
    try:
        blocker = await read_blobs(target, namespace, blobs, sources)
    except STORE_ERRORS as error:
        return Refused(f"{release.ref!r} cannot be read from the store: {store_blocker(error).message}")
    return target if blocker is None else Refused(blocker.message)


def package_blobs(digest: str, content: bytes) -> PackageBlobs:
    """The package's own document, then every blob that it names.

    Raises:
        ValueError: the document is no package, or has another digest, or names a blob without its size.
    """
    try:
        package = parse_untrusted(Package, content, MAX_BYTES)
    except ValidationError as error:
        raise ValueError(f"its document is not a package ({problems_of(error)[:PROBLEM_CHARACTERS]})") from error
    if digest_of(content) != digest:
        raise ValueError("its document has another digest than its name says")
    sizes = package.blobs()
    if unsized := sorted(name for name, size in sizes.items() if size is None):
        raise ValueError(f"its files do not list {len(unsized)} of its blobs, such as {unsized[0]}")
    blobs = [Blob(sha256=name, bytes=size) for name, size in sorted(sizes.items()) if size is not None]
    return PackageBlobs(blobs=(Blob(sha256=digest, bytes=len(content)), *blobs))


async def gather_rival(rollout: Object[Spec, Status], model: str, written: Written | None, sources: Sources) -> str | None:
    """The name of another Rollout of the same model on the same fleet that has precedence over this one.

    The Rollout whose assignment is stored has precedence: a Rollout that learns its model later must not take from the fleet what it
    serves. Otherwise the older one has, by creation time and then by uid (design, §2).
    """
    metadata = rollout.metadata
    assigned = written.assignment.rollout_uid if written is not None else ""
    if not model or assigned == metadata.uid:
        return None
    others = [other for each in sources.list(ROLLOUT, metadata.namespace) if not isinstance(other := parse(KIND, each), Invalid)]
    for other in sorted(others, key=lambda other: (other.metadata.uid != assigned, other.metadata.created, other.metadata.uid)):
        if other.metadata.uid == metadata.uid or other.spec.fleet_ref != rollout.spec.fleet_ref:
            continue
        first = other.metadata.uid == assigned or (other.metadata.created, other.metadata.uid) < (metadata.created, metadata.uid)
        if first and await model_of(other, sources) == model:
            return other.metadata.key.name
    return None


async def model_of(rollout: Object[Spec, Status], sources: Sources) -> str:
    """The model that a Rollout keeps on its fleet, or that of the version that it names; empty where neither is known."""
    present = rollout.status.candidate or rollout.status.stable
    if present is not None:
        return present.model
    manifest = await sources.get(MODEL_VERSION, rollout.metadata.namespace, rollout.spec.model_version_ref.name)
    return str(manifest["spec"].get("model", "")) if manifest is not None else ""
