package runtime

import (
	"context"
	"os"
	"time"

	"bramble.dev/nodebox/internal/proc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// clockTick is the kernel's unit of CPU time in /proc, which is 1/100 s on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// ContainerStats implements the CRI.
func (s *Service) ContainerStats(_ context.Context, request *cri.ContainerStatsRequest) (*cri.ContainerStatsResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	c, ok := s.containers[request.GetContainerId()]
	if !ok {
		return nil, notFound("no container %s", request.GetContainerId())
	}
	return &cri.ContainerStatsResponse{Stats: s.stats(c)}, nil
}

// ListContainerStats implements the CRI, for containers that run.
func (s *Service) ListContainerStats(_ context.Context, request *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	filter := request.GetFilter()
	response := &cri.ListContainerStatsResponse{}
	for _, c := range s.containers {
		switch {
		case c.state() != cri.ContainerState_CONTAINER_RUNNING:
		case filter.GetId() != "" && filter.GetId() != c.ID:
		case filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != c.Sandbox:
		case !selected(filter.GetLabelSelector(), c.config.GetLabels()):
		default:
			response.Stats = append(response.Stats, s.stats(c))
		}
	}
	return response, nil
}

// PodSandboxStats implements the CRI.
func (s *Service) PodSandboxStats(_ context.Context, request *cri.PodSandboxStatsRequest) (*cri.PodSandboxStatsResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	pod, ok := s.sandboxes[request.GetPodSandboxId()]
	if !ok {
		return nil, notFound("no sandbox %s", request.GetPodSandboxId())
	}
	return &cri.PodSandboxStatsResponse{Stats: s.podStats(pod)}, nil
}

// ListPodSandboxStats implements the CRI, for pods that are ready.
func (s *Service) ListPodSandboxStats(_ context.Context, request *cri.ListPodSandboxStatsRequest) (*cri.ListPodSandboxStatsResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	filter := request.GetFilter()
	response := &cri.ListPodSandboxStatsResponse{}
	for _, pod := range s.sandboxes {
		if pod.ready() && (filter.GetId() == "" || filter.GetId() == pod.ID) && selected(filter.GetLabelSelector(), pod.config.GetLabels()) {
			response.Stats = append(response.Stats, s.podStats(pod))
		}
	}
	return response, nil
}

// stats adds up the processes of a container; shared pages count for each of them.
func (s *Service) stats(c *container) *cri.ContainerStats {
	now := time.Now().UnixNano()
	stats := &cri.ContainerStats{Attributes: &cri.ContainerAttributes{
		Id: c.ID, Metadata: c.config.GetMetadata(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
	}}
	if c.started == nil || c.exit != nil {
		return stats
	}
	used := proc.TreeUsage(c.started.PID)
	memory := &cri.UInt64Value{Value: used.RSSPages * uint64(os.Getpagesize())}
	stats.Cpu = &cri.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: &cri.UInt64Value{Value: used.CPUTicks * uint64(clockTick)}}
	stats.Memory = &cri.MemoryUsage{Timestamp: now, WorkingSetBytes: memory, RssBytes: memory, UsageBytes: memory}
	return stats
}

func (s *Service) podStats(pod *sandbox) *cri.PodSandboxStats {
	now := time.Now().UnixNano()
	cpu, memory := uint64(0), uint64(0)
	linux := &cri.LinuxPodSandboxStats{}
	for _, c := range s.containers {
		if c.Sandbox != pod.ID || c.state() != cri.ContainerState_CONTAINER_RUNNING {
			continue
		}
		stats := s.stats(c)
		cpu += stats.GetCpu().GetUsageCoreNanoSeconds().GetValue()
		memory += stats.GetMemory().GetWorkingSetBytes().GetValue()
		linux.Containers = append(linux.Containers, stats)
	}
	working := &cri.UInt64Value{Value: memory}
	linux.Cpu = &cri.CpuUsage{Timestamp: now, UsageCoreNanoSeconds: &cri.UInt64Value{Value: cpu}}
	linux.Memory = &cri.MemoryUsage{Timestamp: now, WorkingSetBytes: working, RssBytes: working, UsageBytes: working}
	return &cri.PodSandboxStats{
		Attributes: &cri.PodSandboxAttributes{
			Id: pod.ID, Metadata: pod.config.GetMetadata(), Labels: pod.config.GetLabels(), Annotations: pod.config.GetAnnotations(),
		},
		Linux: linux,
	}
}
