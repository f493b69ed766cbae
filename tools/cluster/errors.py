"""What can go wrong with the local cluster.

ClusterError
├── MissingRequirement   a package or a right of this machine is missing; the message holds the command that mends it
├── BuildFailed          a program of the cluster could not be built; the message holds the end of the compiler's output
├── ComponentFailed      a process of the cluster ended or never became ready; the message holds the end of its log
├── CommandFailed        another program exited with something else than 0
├── KubectlFailed        kubectl said no
├── ConditionTimeout     a condition did not come true in time; the message holds the last state seen
├── AlreadyExists        the API server has an object of that name
└── NotSupported         asked of a cluster that is not ours (an existing kube context)
"""

from __future__ import annotations


class ClusterError(Exception):
    """Anything that the local cluster cannot do; the message says what, why and what to do."""


class MissingRequirement(ClusterError):
    """This machine lacks a package, a right or a limit; the message holds the command that mends it."""


class BuildFailed(ClusterError):
    """A program of the cluster could not be built; the message holds the end of the compiler's output."""


class ComponentFailed(ClusterError):
    """A process of the cluster ended or did not become ready; the message holds the end of its log."""


class CommandFailed(ClusterError):
    """A program exited with something else than 0; the message holds the end of what it printed."""

    def __init__(self, command: tuple[str, ...], returncode: int, printed: str) -> None:
        super().__init__(f"{' '.join(command)} exited {returncode}:\n{printed.strip()[-3000:]}")


class KubectlFailed(ClusterError):
    """kubectl exited with something else than 0."""

    def __init__(self, arguments: tuple[str, ...], returncode: int, stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} exited {returncode}: {stderr.strip()}")
        self.returncode = returncode
        self.stderr = stderr


class ConditionTimeout(ClusterError, TimeoutError):
    """A condition did not come true before its deadline."""


class AlreadyExists(ClusterError):
    """The API server has an object of that name."""


class NotSupported(ClusterError):
    """This needs the machine under the cluster, and the cluster is an existing kube context."""
