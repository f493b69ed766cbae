package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"bramble.dev/nodebox/internal/namespaces"
	"bramble.dev/nodebox/internal/network"
	"bramble.dev/nodebox/internal/proc"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunPodSandbox makes a pod's namespaces and its link.
func (s *Service) RunPodSandbox(_ context.Context, request *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	config := request.GetConfig()
	if err := supported(config, request.GetRuntimeHandler()); err != nil {
		return nil, err
	}
	encoded, err := encode(config)
	if err != nil {
		return nil, invalid("sandbox: %v", err)
	}
	pod := &sandbox{config: config, sandboxRecord: sandboxRecord{ID: newID(), Config: encoded, Created: time.Now()}}
	if err := s.run(pod); err != nil {
		return nil, failed("sandbox of %s/%s: %v", config.GetMetadata().GetNamespace(), config.GetMetadata().GetName(),
			errors.Join(err, s.takeDown(pod), os.RemoveAll(filepath.Join(s.sandboxRoot(), pod.ID))))
	}
	s.mutex.Lock()
	s.sandboxes[pod.ID] = pod
	s.mutex.Unlock()
	return &cri.RunPodSandboxResponse{PodSandboxId: pod.ID}, nil
}

// supported refuses what would otherwise be promised and not kept.
func supported(config *cri.PodSandboxConfig, handler string) error {
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	switch {
	case config.GetMetadata() == nil:
		return invalid("sandbox: no metadata")
	case handler != "":
		return notFound("runtime handler %q: this node has the default one only", handler)
	case options.GetPid() != cri.NamespaceMode_CONTAINER:
		return invalid("hostPID and shareProcessNamespace are not there in the local cluster: each container has its own PID namespace")
	case options.GetUsernsOptions() != nil && options.GetUsernsOptions().GetMode() == cri.NamespaceMode_POD:
		return invalid("hostUsers: false is not there in the local cluster")
	}
	for _, mapping := range config.GetPortMappings() {
		if mapping.GetHostPort() != 0 && options.GetNetwork() != cri.NamespaceMode_NODE {
			return invalid("hostPort %d is not there in the local cluster: use hostNetwork or a Service", mapping.GetHostPort())
		}
	}
	return nil
}

func (s *Service) run(pod *sandbox) error {
	for _, folder := range []string{filepath.Join(s.sandboxRoot(), pod.ID), pod.config.GetLogDirectory()} {
		if folder == "" {
			continue
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := s.startPause(pod); err != nil {
		return err
	}
	// The record comes before the link: a service killed between the two finds both again.
	if !onHostNetwork(pod.config) {
		address, err := s.pool.Take()
		if err != nil {
			return err
		}
		pod.Address = address
	}
	if err := s.saveSandbox(pod); err != nil {
		return err
	}
	if onHostNetwork(pod.config) {
		return nil
	}
	if err := network.Prepare(pod.Pause, pod.config.GetLinux().GetSysctls()); err != nil {
		return err
	}
	return s.link.Connect(pod.ID, pod.Pause, pod.Address)
}

// startPause starts the process that holds the pod's namespaces and does nothing else.
func (s *Service) startPause(pod *sandbox) error {
	options := pod.config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	flags := uintptr(0)
	if options.GetIpc() != cri.NamespaceMode_NODE {
		flags |= unix.CLONE_NEWIPC
	}
	if !onHostNetwork(pod.config) {
		flags |= unix.CLONE_NEWNET | unix.CLONE_NEWUTS
	}
	pause := exec.Command("sleep", "infinity")
	pause.Dir, pause.Env = "/", []string{}
	pause.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Setsid: true}
	if err := pause.Start(); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	pod.Pause = pause.Process.Pid
	if err := s.reaper.leave(pause.Process); err != nil {
		return err
	}
	birth, err := proc.Birth(pod.Pause)
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	pod.PauseBirth = birth
	name := pod.config.GetHostname()
	if flags&unix.CLONE_NEWUTS == 0 || name == "" {
		return nil
	}
	return namespaces.Do(namespaces.Paths(pod.Pause, "uts"), func() error { return unix.Sethostname([]byte(name)) })
}

func onHostNetwork(config *cri.PodSandboxConfig) bool {
	return config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == cri.NamespaceMode_NODE
}

// takeDown ends what run made. Where it fails it may be called again.
func (s *Service) takeDown(pod *sandbox) error {
	if pod.Pause != 0 {
		if err := proc.Signal(pod.Pause, pod.PauseBirth, unix.SIGKILL); err != nil {
			return err
		}
	}
	if !pod.Address.IsValid() {
		return nil
	}
	if err := network.Disconnect(pod.ID); err != nil {
		return err
	}
	s.pool.Return(pod.Address)
	return nil
}

// StopPodSandbox kills the pod's containers and takes its namespaces down. A pod that is gone is no error.
func (s *Service) StopPodSandbox(ctx context.Context, request *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	if err := s.stopSandbox(ctx, request.GetPodSandboxId()); err != nil {
		return nil, err
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (s *Service) stopSandbox(ctx context.Context, id string) error {
	pod, owned := s.sandboxAndContainers(id)
	if pod == nil {
		return nil
	}
	for _, c := range owned {
		if err := s.stopContainer(ctx, c, 0); err != nil {
			return err
		}
	}
	pod.stopping.Lock()
	defer pod.stopping.Unlock()
	s.mutex.RLock()
	stopped := pod.Stopped
	s.mutex.RUnlock()
	if stopped {
		return nil
	}
	if err := s.takeDown(pod); err != nil {
		return failed("stopping sandbox %s: %v", id, err)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	pod.Stopped = true
	if err := s.saveSandbox(pod); err != nil {
		return failed("stopping sandbox %s: %v", id, err)
	}
	return nil
}

// RemovePodSandbox removes a pod and its containers with their folders.
func (s *Service) RemovePodSandbox(ctx context.Context, request *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	id := request.GetPodSandboxId()
	if err := s.stopSandbox(ctx, id); err != nil {
		return nil, err
	}
	pod, owned := s.sandboxAndContainers(id)
	if pod == nil {
		return &cri.RemovePodSandboxResponse{}, nil
	}
	for _, c := range owned {
		if err := s.removeContainer(ctx, c); err != nil {
			return nil, err
		}
	}
	if err := os.RemoveAll(filepath.Join(s.sandboxRoot(), pod.ID)); err != nil {
		return nil, failed("removing sandbox %s: %v", id, err)
	}
	s.mutex.Lock()
	delete(s.sandboxes, pod.ID)
	s.mutex.Unlock()
	slog.Debug("removed sandbox", "id", id)
	return &cri.RemovePodSandboxResponse{}, nil
}

func (s *Service) sandboxAndContainers(id string) (*sandbox, []*container) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	var owned []*container
	for _, c := range s.containers {
		if c.Sandbox == id {
			owned = append(owned, c)
		}
	}
	return s.sandboxes[id], owned
}

// readySandbox gives a pod whose containers can be started and reached.
func (s *Service) readySandbox(id string) (*sandbox, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	pod, ok := s.sandboxes[id]
	if !ok {
		return nil, notFound("no sandbox %s", id)
	}
	if !pod.ready() {
		return nil, unmet("sandbox %s is not ready", id)
	}
	return pod, nil
}

func addressText(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}
