"""A real small Kubernetes on one Linux machine without a container engine; see docs/local-cluster.md."""

from tests.cluster.cluster import Cluster
from tests.cluster.environments import CodePart
from tests.cluster.errors import ClusterError, ConditionTimeout, KubectlFailed, MissingRequirement
from tests.cluster.images import Image, ImageSource
from tests.cluster.kubectl import Kubectl
from tests.cluster.node import Node
from tests.cluster.shape import NodeShape, Shape
from tests.cluster.store import S3

__all__ = [
    "S3",
    "Cluster",
    "ClusterError",
    "CodePart",
    "ConditionTimeout",
    "Image",
    "ImageSource",
    "Kubectl",
    "KubectlFailed",
    "MissingRequirement",
    "Node",
    "NodeShape",
    "Shape",
]
