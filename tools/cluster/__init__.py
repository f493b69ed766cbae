"""A real small Kubernetes on one Linux machine without a container engine; see docs/local-cluster.md."""

from tools.cluster.cluster import Cluster
from tools.cluster.environments import CodePart
from tools.cluster.errors import ClusterError, ConditionTimeout, KubectlFailed, MissingRequirement
from tools.cluster.images import Image, ImageSource
from tools.cluster.kubectl import Kubectl
from tools.cluster.node import Node
from tools.cluster.shape import NodeShape, Shape
from tools.cluster.store import S3

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
