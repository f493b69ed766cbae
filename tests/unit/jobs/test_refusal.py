"""What is said of refused pods names the LimitRange and the field to set. The texts are an API server's; tests/api asks a real one."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.jobs.refusal import Containers, advice, blames_limit_range, step_field
from bramble.kinds.trainingrun.attempt import CONTAINERS as GANG

STEP = Containers(init=(), main=("step",), fields={"step": step_field("snapshot")})
BOARD = Containers(init=(), main=("step",), fields={"step": step_field("benchmark")})
FAILED = "FailedCreate: Error creating: "
CHART = "(or the same in the chart's jobs.resources)"


def limit_range(name: str, type_: str = "Container", **item: Any) -> dict[str, Any]:
    return {"kind": "LimitRange", "metadata": {"name": name}, "spec": {"limits": [{"type": type_, **item}]}}


def above(request: str, limit: str, place: str = "containers[0]") -> str:
    return f'Pod "p" is invalid: spec.{place}.resources.requests: Invalid value: "{request}": must be less than or equal to {limit}'


def forbidden(why: str) -> str:
    return f'pods "p" is forbidden: {why}'


SMALL = limit_range("small", default={"cpu": "50m"})


@pytest.mark.parametrize(
    ("said", "containers", "limit_ranges", "told"),
    [
        pytest.param(
            forbidden("failed quota: tenant: must specify limits.cpu for: step"),
            STEP,
            (),
            f"set spec.jobs.resources.snapshot.limits.cpu {CHART}",
            id="a quota that counts a limit",
        ),
        pytest.param(
            forbidden("failed quota: tenant: must specify limits.cpu for: step; memory for: step"),
            BOARD,
            (),
            "set the chart's jobs.resources.benchmark.limits.cpu, the chart's jobs.resources.benchmark.requests.memory",
            id="a board, whose resources only the chart sets",
        ),
        pytest.param(
            forbidden("failed quota: tenant: must specify limits.cpu,requests.cpu for: fetch,train,guest"),
            GANG,
            (),
            "set spec.jobs.resources.fetch.limits.cpu, spec.resources.limits.cpu, spec.jobs.resources.fetch.requests.cpu,"
            f" spec.resources.requests.cpu {CHART}",
            id="several containers, and one that is not ours",
        ),
        pytest.param(
            forbidden("failed quota: tenant: must specify limits.cpu"), STEP, (), "", id="a quota of a release that names no container"
        ),
        pytest.param(
            above("250m", "cpu limit of 50m"),
            STEP,
            (limit_range("other", default={"cpu": "1"}), SMALL, limit_range("bounds", max={"cpu": "4"})),
            f"LimitRange small gives a container without a limit of cpu one of 50m: set spec.jobs.resources.snapshot.limits.cpu {CHART}",
            id="the default limit is below the request",
        ),
        pytest.param(
            above("250m", "cpu limit"),
            STEP,
            (SMALL,),
            f"LimitRange small gives a container without a limit of cpu one: set spec.jobs.resources.snapshot.limits.cpu {CHART}",
            id="the same of a release that does not state the limit",
        ),
        pytest.param(
            above("50m", "cpu limit of 10m", "initContainers[1]"),
            GANG,
            (limit_range("tiny", default={"cpu": "10m"}),),
            f"LimitRange tiny gives a container without a limit of cpu one of 10m: set spec.jobs.resources.sidecar.limits.cpu {CHART}",
            id="the sidecar",
        ),
        pytest.param(
            'Pod "p" is invalid: [spec.initContainers[0].resources.requests: Invalid value: "50m": must be less than or equal to cpu limit'
            ' of 10m, spec.initContainers[1].resources.requests: Invalid value: "50m": must be less than or equal to cpu limit of 10m]',
            GANG,
            (limit_range("tiny", default={"cpu": "10m"}),),
            "LimitRange tiny gives a container without a limit of cpu one of 10m: set spec.jobs.resources.fetch.limits.cpu,"
            f" spec.jobs.resources.sidecar.limits.cpu {CHART}",
            id="two containers",
        ),
        pytest.param(
            above("500m", "cpu limit of 50m"),
            GANG,
            (SMALL,),
            "LimitRange small gives a container without a limit of cpu one of 50m: set spec.resources.limits.cpu",
            id="the container that trains",
        ),
        pytest.param(
            above("2", "cpu limit of 1"),
            GANG,
            (SMALL,),
            "spec.resources.requests.cpu is more than the limit: correct one of them",
            id="own",
        ),
        pytest.param(above("1", "cpu limit of 50m", "containers[1]"), STEP, (SMALL,), "", id="a container that is not ours"),
        pytest.param(
            forbidden("maximum memory usage per Container is 512Mi, but limit is 2Gi"),
            STEP,
            (limit_range("large", max={"memory": "4Gi"}), limit_range("bounds", max={"memory": "512Mi"})),
            "LimitRange bounds allows at most 512Mi of memory for each Container: change spec.jobs.resources.snapshot.limits.memory"
            f" {CHART}",
            id="a limit above the maximum",
        ),
        pytest.param(
            forbidden("[maximum cpu usage per Pod is 100m.  No limit is specified, maximum memory usage per Pod is 1Gi, but limit is 3Gi]"),
            GANG,
            (limit_range("pods", "Pod", max={"cpu": "100m", "memory": "1Gi"}),),
            "LimitRange pods allows at most 100m of cpu for each Pod: change spec.resources.limits.cpu,"
            f" spec.jobs.resources.fetch.limits.cpu, spec.jobs.resources.sidecar.limits.cpu {CHART};"
            " LimitRange pods allows at most 1Gi of memory for each Pod: change spec.resources.limits.memory,"
            f" spec.jobs.resources.fetch.limits.memory, spec.jobs.resources.sidecar.limits.memory {CHART}",
            id="no limit, where pods have a maximum",
        ),
        pytest.param(
            forbidden("minimum cpu usage per Container is 3, but request is 250m"),
            STEP,
            (limit_range("bounds", min={"cpu": "3"}),),
            f"LimitRange bounds allows at least 3 of cpu for each Container: change spec.jobs.resources.snapshot.requests.cpu {CHART}",
            id="a request below the minimum",
        ),
        pytest.param(
            forbidden("memory max limit to request ratio per Container is 2, but provided ratio is 8.000000"),
            STEP,
            (limit_range("ratio", maxLimitRequestRatio={"memory": "2"}),),
            "LimitRange ratio allows a limit of 2 times the request of memory: raise spec.jobs.resources.snapshot.requests.memory"
            f" {CHART}, or lower the limit",
            id="the limit is many times the request",
        ),
        pytest.param(
            forbidden("maximum cpu usage per Container is 1, but limit is 2"),
            BOARD,
            (),
            "LimitRange of the namespace allows at most 1 of cpu for each Container:"
            " change the chart's jobs.resources.benchmark.limits.cpu",
            id="it has been deleted since",
        ),
        pytest.param(
            forbidden(
                "[cpu max limit to request ratio per Container is 4, but no request is specified or request is 0,"
                " cpu max limit to request ratio per Container is 4, but no limit is specified or limit is 0]"
            ),
            STEP,
            (limit_range("ratio", maxLimitRequestRatio={"cpu": "4"}),),
            f"LimitRange ratio allows a limit of 4 times the request of cpu: set spec.jobs.resources.snapshot.requests.cpu {CHART};"
            f" LimitRange ratio allows a limit of 4 times the request of cpu: set spec.jobs.resources.snapshot.limits.cpu {CHART}",
            id="a ratio of what is not stated",
        ),
        pytest.param(
            forbidden(
                "[minimum cpu usage per Container is 3, but request is 250m, minimum cpu usage per Container is 3, but request is 50m,"
                " maximum memory usage per Container is 512Mi, but limit is 2Gi]"
            ),
            STEP,
            (limit_range("bounds", min={"cpu": "3"}, max={"memory": "512Mi"}),),
            f"LimitRange bounds allows at least 3 of cpu for each Container: change spec.jobs.resources.snapshot.requests.cpu {CHART};"
            " LimitRange bounds allows at most 512Mi of memory for each Container: change spec.jobs.resources.snapshot.limits.memory"
            f" {CHART}",
            id="several bounds, one of them for two containers",
        ),
        pytest.param(
            forbidden("exceeded quota: q, requested: cpu=600m,limits.memory=2Gi, used: cpu=3,limits.memory=0, limited: cpu=3"),
            GANG,
            (),
            "the pod asks for 600m of requests.cpu: lower spec.resources.requests.cpu, spec.jobs.resources.fetch.requests.cpu,"
            f" spec.jobs.resources.sidecar.requests.cpu {CHART}, or free or raise the quota;"
            " the pod asks for 2Gi of limits.memory: lower spec.resources.limits.memory, spec.jobs.resources.fetch.limits.memory,"
            f" spec.jobs.resources.sidecar.limits.memory {CHART}, or free or raise the quota",
            id="a quota that is used up",
        ),
        pytest.param(
            forbidden("exceeded quota: q, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=1, limited: x=1"),
            GANG,
            (),
            "the pod asks for 1 of requests.nvidia.com/gpu: lower spec.resources.limits.nvidia.com/gpu, or free or raise the quota",
            id="a quota of devices",
        ),
        pytest.param(
            forbidden("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"), STEP, (), "", id="a quota of objects"
        ),
        pytest.param(forbidden("violates PodSecurity"), STEP, (SMALL,), "", id="another reason"),
    ],
)
def test_what_is_told(said: str, containers: Containers, limit_ranges: tuple[Any, ...], told: str) -> None:
    assert advice(FAILED + said, containers, limit_ranges) == told
    if told.startswith("LimitRange"):
        assert blames_limit_range(FAILED + said)


@pytest.mark.parametrize(
    "said", ["", forbidden("failed quota: tenant: must specify limits.cpu for: step"), forbidden("violates PodSecurity")]
)
def test_limit_ranges_are_read_only_where_one_may_be_the_reason(said: str) -> None:
    assert not blames_limit_range(said)
