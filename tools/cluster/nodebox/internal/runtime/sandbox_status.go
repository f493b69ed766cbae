package runtime

import (
	"cmp"
	"context"
	"slices"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PodSandboxStatus implements the CRI.
func (s *Service) PodSandboxStatus(_ context.Context, request *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	pod, ok := s.sandboxes[request.GetPodSandboxId()]
	if !ok {
		return nil, notFound("no sandbox %s", request.GetPodSandboxId())
	}
	options := pod.config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
		Id: pod.ID, Metadata: pod.config.GetMetadata(), State: pod.state(), CreatedAt: pod.Created.UnixNano(),
		Network:     &cri.PodSandboxNetworkStatus{Ip: addressText(pod.Address)},
		Linux:       &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: options}},
		Labels:      pod.config.GetLabels(),
		Annotations: pod.config.GetAnnotations(),
	}}, nil
}

// ListPodSandbox implements the CRI, newest first.
func (s *Service) ListPodSandbox(_ context.Context, request *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	filter := request.GetFilter()
	var items []*cri.PodSandbox
	for _, pod := range s.sandboxes {
		item := &cri.PodSandbox{
			Id: pod.ID, Metadata: pod.config.GetMetadata(), State: pod.state(), CreatedAt: pod.Created.UnixNano(),
			Labels: pod.config.GetLabels(), Annotations: pod.config.GetAnnotations(),
		}
		switch {
		case filter.GetId() != "" && filter.GetId() != item.Id:
		case filter.GetState() != nil && filter.GetState().GetState() != item.State:
		case !selected(filter.GetLabelSelector(), item.Labels):
		default:
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b *cri.PodSandbox) int { return cmp.Compare(b.CreatedAt, a.CreatedAt) })
	return &cri.ListPodSandboxResponse{Items: items}, nil
}

func selected(wanted, labels map[string]string) bool {
	for key, value := range wanted {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}
