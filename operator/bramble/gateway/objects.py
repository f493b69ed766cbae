"""The parts of pods, Jobs and ConfigMaps that the gateway reads to find out which job calls."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bramble.kube.resources import Manifest


class _Part(BaseModel):
    """A part of a Kubernetes object. Fields that are not named are ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class OwnerReference(_Part):
    """An owner of an object; the one with `controller` manages it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(_Part):
    """The metadata of an object."""

    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()

    def controller(self, kind: str) -> OwnerReference | None:
        """The controlling owner, if it is of this kind."""
        return next((reference for reference in self.owner_references if reference.controller and reference.kind == kind), None)


class VolumeMount(_Part):
    """The path at which a container mounts a volume."""

    name: str
    mount_path: str


class Container(_Part):
    """A container's mounts."""

    volume_mounts: tuple[VolumeMount, ...] = ()


class ConfigMapVolume(_Part):
    """The ConfigMap of a volume."""

    name: str = ""


class Volume(_Part):
    """A volume of a pod. Only volumes of ConfigMaps are read."""

    name: str
    config_map: ConfigMapVolume | None = None


class PodSpec(_Part):
    """A pod's containers and volumes."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()


class PodTemplate(_Part):
    """The template of a Job's pods."""

    spec: PodSpec


class JobSpec(_Part):
    """A Job's pod template."""

    template: PodTemplate


class Pod(_Part):
    """A pod's metadata."""

    metadata: Metadata

    @classmethod
    def of(cls, manifest: Manifest) -> Pod:
        return cls.model_validate(manifest)


class Job(_Part):
    """A Job's metadata and pod template."""

    metadata: Metadata
    spec: JobSpec

    @classmethod
    def of(cls, manifest: Manifest) -> Job:
        return cls.model_validate(manifest)

    def config_map_at(self, folder: str) -> str | None:
        """The name of the ConfigMap that a container of the Job mounts at this folder; None if there is none."""
        spec = self.spec.template.spec
        mounts = {
            mount.name
            for container in (*spec.containers, *spec.init_containers)
            for mount in container.volume_mounts
            if mount.mount_path == folder
        }
        shown = (volume.config_map.name for volume in spec.volumes if volume.name in mounts and volume.config_map is not None)
        return next((name for name in shown if name), None)


class ConfigMap(_Part):
    """A ConfigMap."""

    metadata: Metadata
    immutable: bool = False
    data: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> ConfigMap:
        return cls.model_validate(manifest)
