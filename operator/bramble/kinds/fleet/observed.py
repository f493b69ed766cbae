"""What a plan for a Fleet looks at."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.api.fleet import Status
from bramble.api.objects import Invalid
from bramble.kinds.fleet.membership import Fleet, Membership
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import Devices
from bramble.kube.resources import Manifest
from bramble.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A Fleet as it stands.

    Attributes:
        fleet: parsed.
        membership: its nodes.
        labelled: every node that carries an agent label of this fleet, member or not.
        daemon_sets: its agents'.
        setups: the Jobs that prepare its nodes' folders, and `pods` theirs.
        devices: what its agents said of themselves.
        gateway_ca: PEM; empty where the operator has none mounted.
    """

    fleet: Fleet
    membership: Membership
    labelled: tuple[Manifest, ...] = ()
    daemon_sets: tuple[Manifest, ...] = ()
    setups: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    devices: Devices
    gateway_ca: str
    settings: Settings

    @property
    def name(self) -> str:
        return self.fleet.metadata.name

    @property
    def owner(self) -> Owner:
        """As its children, which live in the edge namespace, are labelled."""
        return Owner("Fleet", "", self.name, self.fleet.metadata.uid)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A Fleet that is being deleted, which needs no spec that can be used; `labelled` as in `Observed`."""

    fleet: Fleet | Invalid[Status]
    labelled: tuple[Manifest, ...] = ()


Seen = Observed | Leaving | Invalid[Status]
