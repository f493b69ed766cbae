"""The Jobs of a ModelVersion: one converts and validates every variant, and one for each board measures the variants that passed."""

from __future__ import annotations

from bramble.api.jobs import Resources
from bramble.api.labels import EDGE_TAINT, child_name
from bramble.api.modelversion import PASSED, Target, VariantSeen
from bramble.contracts.canonical import digest_of, short
from bramble.contracts.jobs.base import Gateway, inputs_digest
from bramble.contracts.jobs.benchmark import BenchmarkJob, Limits
from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.runtimes import FLOAT32
from bramble.contracts.store import filed_result_key
from bramble.kinds.jobs.additions import Additions
from bramble.kinds.jobs.step import STEP_DEADLINE_SECONDS, Step
from bramble.kinds.modelversion.observed import BoardKey, Observed

CONVERT = "convert"
BENCHMARK = "benchmark"
STEP_NAME_LIMIT = 45
"""The step's name is the value of a label (at most 63 characters) and part of the Job's name."""

BOARD_RESOURCES = Resources(requests={"cpu": "500m", "memory": "256Mi"}, limits={"memory": "1Gi"})
"""Of a benchmark's pod. A board may have no more than 1 GiB of memory in all."""

CHOICE_SHARE = 4
"""Ways to make graphs may be tried for this part of the deadline of the conversion's Job. Making packages and measuring them takes the
rest."""

ITERATIONS = BenchmarkJob.model_fields["iterations"].default


def benchmark_name(board_key: BoardKey) -> str:
    """The name of the step that measures on this board.

    It ends with a digest, because names joined by dashes are not unique: board `rooms-rpi5` of fleet `living` and board `rpi5` of fleet
    `living-rooms` would have the same one.
    """
    digest = short(digest_of(str(board_key).encode()))[:8]
    return child_name(BENCHMARK, board_key.fleet, board_key.board, digest, limit=STEP_NAME_LIMIT)


def convert_step(seen: Observed, attempt: int) -> Step | None:
    """An attempt at the conversion; None before the source is pinned."""
    owner, lineage, spec = seen.owner, seen.status.lineage, seen.spec
    if lineage is None:
        return None
    job = ConvertJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(CONVERT, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        package=lineage.package,
        manifest=lineage.dataset,
        model=spec.model,
        version=spec.version,
        variants=tuple(variant.job_variant() for variant in spec.variants),
        max_drop=spec.validation.job_max_drop(),
        choice_seconds=STEP_DEADLINE_SECONDS // CHOICE_SHARE,
    )
    return Step(owner=owner, job=job, image=seen.settings.images_convert, gateway_ca=seen.gateway_ca, additions=_additions(seen))


def _additions(seen: Observed) -> Additions:
    return Additions.of(seen.settings.jobs, seen.spec.jobs)


def convert_filed_key(step: Step) -> str:
    """The key in the store under which the result of this conversion is filed, for any later conversion with the same inputs."""
    return filed_result_key(CONVERT, inputs_digest(step.job, step.image))


def benchmark_step(seen: Observed, target: Target, attempt: int) -> Step | None:
    """An attempt at one board's benchmark; None if no variant passed, or no node may measure.

    The pod runs in the version's namespace, and mounts no Secret, because the owner of the board can read what is on it.
    """
    board_key, owner, lineage = BoardKey.of(target), seen.owner, seen.status.lineage
    board, passed = seen.boards.get(board_key), [variant for variant in seen.status.variants if variant.verdict == PASSED]
    if lineage is None or board is None or board.blocker is not None or not passed:
        return None
    name = benchmark_name(board_key)
    job = BenchmarkJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(name, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        board=target.board,
        fleet=target.fleet,
        packages=tuple(dict.fromkeys(variant.package for variant in passed)),
        reference=_reference(seen, passed),
        reference_metrics=_reference_metrics(passed[0]),
        manifest=lineage.dataset,
        iterations=target.iterations if target.iterations is not None else ITERATIONS,
        limits=target.limits.job_limits() if target.limits is not None else Limits(),
        max_drop=seen.spec.validation.job_max_drop(),
    )
    return Step(
        owner=owner,
        job=job,
        image=seen.settings.images_edge,
        name=name,
        store=False,
        gateway_ca=seen.gateway_ca,
        resources=BOARD_RESOURCES,
        additions=_additions(seen),
        node_selector=board.selector,
        tolerations=({"key": EDGE_TAINT, "operator": "Exists"},),
    )


def _reference(seen: Observed, passed: list[VariantSeen]) -> str:
    """The package that drops are counted from. A float32 variant, because the board measures it on the same samples; otherwise the
    package that training exported.
    """
    full = {variant.name for variant in seen.spec.variants if variant.precision in (None, FLOAT32.name)}
    exported = seen.status.lineage.package if seen.status.lineage is not None else ""
    return next((variant.package for variant in passed if variant.name in full), exported)


def _reference_metrics(variant: VariantSeen) -> dict[str, float]:
    """The scores of the exported package on the whole test split: the variant's own scores plus its drops."""
    return {name: round(value + variant.drop.get(name, 0.0), 9) for name, value in variant.metrics.items()}
