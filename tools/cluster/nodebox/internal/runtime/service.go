// Package runtime is a container runtime as a kubelet speaks to it: the CRI's RuntimeService and ImageService.
//
// A pod is a process that holds its namespaces, and a link to the node. A container is a shim (package shim) whose child is the
// container's process. Both outlive this service; started again, it finds them by their folders.
package runtime

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"bramble.dev/nodebox/internal/images"
	"bramble.dev/nodebox/internal/network"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

const (
	// Name is the scheme of container IDs: bramble://…
	Name = "bramble"
	// Version is that of this runtime.
	Version = "1.0.0"

	shimProgram = "cri-shim"
)

// Config is one node.
type Config struct {
	State       string
	Images      string
	HostPaths   string
	Node        string
	NodeAddress string
	StreamPort  int
	PodCIDR     string
}

// Service is the runtime of one node.
type Service struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer

	config Config
	images *images.Table
	paths  *hostPaths
	pool   *network.Pool
	link   network.Link
	shim   string
	stream streaming.Server
	reaper *reaper

	mutex      sync.RWMutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// New makes the service and adopts what an earlier one left running.
func New(config Config) (*Service, error) {
	itself, err := os.Executable()
	if err != nil {
		return nil, err
	}
	itself, err = filepath.EvalSymlinks(itself)
	if err != nil {
		return nil, err
	}
	s := &Service{
		config: config, images: images.NewTable(config.Images), paths: &hostPaths{path: config.HostPaths},
		link: network.Link{Node: net.ParseIP(config.NodeAddress)}, shim: filepath.Join(filepath.Dir(itself), shimProgram),
		reaper: newReaper(), sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
	for _, folder := range []string{s.sandboxRoot(), s.containerRoot()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	if s.link.Node == nil {
		return nil, fmt.Errorf("%q is no address", config.NodeAddress)
	}
	if s.pool, err = network.NewPool(config.PodCIDR, filepath.Join(config.State, "last-address")); err != nil {
		return nil, err
	}
	if err := s.adopt(); err != nil {
		return nil, err
	}
	streams := streaming.DefaultConfig
	streams.Addr = net.JoinHostPort(config.NodeAddress, strconv.Itoa(config.StreamPort))
	if s.stream, err = streaming.NewServer(streams, streamer{s}); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeStreams serves exec and port-forward connections until it fails.
func (s *Service) ServeStreams() error { return s.stream.Start(true) }

func (s *Service) sandboxRoot() string   { return filepath.Join(s.config.State, "sandboxes") }
func (s *Service) containerRoot() string { return filepath.Join(s.config.State, "containers") }

// Version implements the CRI.
func (s *Service) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: Name, RuntimeVersion: Version, RuntimeApiVersion: "v1"}, nil
}

// Status implements the CRI.
func (s *Service) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	reach := &cri.RuntimeCondition{Type: cri.NetworkReady, Status: true}
	if err := network.Ready(); err != nil {
		reach = &cri.RuntimeCondition{Type: cri.NetworkReady, Reason: "NotForwarding", Message: err.Error()}
	}
	conditions := []*cri.RuntimeCondition{{Type: cri.RuntimeReady, Status: true}, reach}
	return &cri.StatusResponse{
		Status:          &cri.RuntimeStatus{Conditions: conditions},
		RuntimeHandlers: []*cri.RuntimeHandler{{Features: &cri.RuntimeHandlerFeatures{}}},
		Features:        &cri.RuntimeFeatures{},
	}, nil
}

// RuntimeConfig implements the CRI: containers here have no cgroup of their own, the driver is the one without a daemon.
func (s *Service) RuntimeConfig(context.Context, *cri.RuntimeConfigRequest) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig confirms the pod CIDR, which is fixed from the start.
func (s *Service) UpdateRuntimeConfig(_ context.Context, request *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	given := request.GetRuntimeConfig().GetNetworkConfig().GetPodCidr()
	if given == "" {
		return &cri.UpdateRuntimeConfigResponse{}, nil
	}
	prefix, err := netip.ParsePrefix(given)
	if err != nil {
		return nil, invalid("pod CIDR %q: %v", given, err)
	}
	if prefix.Masked().String() != s.pool.CIDR() {
		return nil, invalid("pod CIDR %s: this node was started with %s", given, s.pool.CIDR())
	}
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

// UpdateContainerResources accepts everything: containers have no cgroup that could hold a limit.
func (s *Service) UpdateContainerResources(context.Context, *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	return &cri.UpdateContainerResourcesResponse{}, nil
}

// UpdatePodSandboxResources accepts everything, for the same reason.
func (s *Service) UpdatePodSandboxResources(
	context.Context, *cri.UpdatePodSandboxResourcesRequest,
) (*cri.UpdatePodSandboxResourcesResponse, error) {
	return &cri.UpdatePodSandboxResourcesResponse{}, nil
}
