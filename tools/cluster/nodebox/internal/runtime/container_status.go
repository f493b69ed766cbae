package runtime

import (
	"cmp"
	"context"
	"slices"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// What kubectl shows as the reason of a terminated container.
const (
	reasonCompleted  = "Completed"
	reasonError      = "Error"
	reasonStartError = "StartError"
)

// ContainerStatus implements the CRI.
func (s *Service) ContainerStatus(_ context.Context, request *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	c, ok := s.containers[request.GetContainerId()]
	if !ok {
		return nil, notFound("no container %s", request.GetContainerId())
	}
	user := &cri.LinuxContainerUser{Uid: int64(c.Process.UID), Gid: int64(c.Process.GID)}
	for _, group := range c.Process.Groups {
		user.SupplementalGroups = append(user.SupplementalGroups, int64(group))
	}
	state := &cri.ContainerStatus{
		Id: c.ID, Metadata: c.config.GetMetadata(), State: c.state(), CreatedAt: c.Created.UnixNano(),
		Image: &cri.ImageSpec{Image: c.Image, Annotations: c.config.GetImage().GetAnnotations()}, ImageRef: c.ImageID, ImageId: c.ImageID,
		Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(), Mounts: c.config.GetMounts(), LogPath: c.Log,
		User: &cri.ContainerUser{Linux: user}, StopSignal: c.config.GetStopSignal(),
		Resources: &cri.ContainerResources{Linux: c.config.GetLinux().GetResources()},
	}
	if c.started != nil {
		state.StartedAt = c.started.At.UnixNano()
	}
	if c.exit != nil {
		state.FinishedAt, state.ExitCode = c.exit.At.UnixNano(), int32(c.exit.Code)
		state.Reason, state.Message = c.reason()
	}
	return &cri.ContainerStatusResponse{Status: state}, nil
}

func (c *container) reason() (reason, message string) {
	switch {
	case c.Failure != "":
		return reasonStartError, c.Failure
	case c.exit.Code == 0:
		return reasonCompleted, ""
	default:
		return reasonError, ""
	}
}

// ListContainers implements the CRI, newest first.
func (s *Service) ListContainers(_ context.Context, request *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	filter := request.GetFilter()
	var items []*cri.Container
	for _, c := range s.containers {
		item := &cri.Container{
			Id: c.ID, PodSandboxId: c.Sandbox, Metadata: c.config.GetMetadata(), State: c.state(), CreatedAt: c.Created.UnixNano(),
			Image: &cri.ImageSpec{Image: c.Image}, ImageRef: c.ImageID, ImageId: c.ImageID,
			Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
		}
		switch {
		case filter.GetId() != "" && filter.GetId() != item.Id:
		case filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != item.PodSandboxId:
		case filter.GetState() != nil && filter.GetState().GetState() != item.State:
		case !selected(filter.GetLabelSelector(), item.Labels):
		default:
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b *cri.Container) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	return &cri.ListContainersResponse{Containers: items}, nil
}
