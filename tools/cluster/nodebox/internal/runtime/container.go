package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"bramble.dev/nodebox/internal/namespaces"
	"bramble.dev/nodebox/internal/rootfs"
	"bramble.dev/nodebox/internal/spec"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	startFailedCode = 128
	killedCode      = 128 + int(unix.SIGKILL)
	startWithin     = 60 * time.Second
)

// CreateContainer resolves the image and prepares the container's root. Nothing runs yet.
func (s *Service) CreateContainer(_ context.Context, request *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	pod, _ := s.sandboxAndContainers(request.GetPodSandboxId())
	if pod == nil {
		return nil, notFound("no sandbox %s", request.GetPodSandboxId())
	}
	config := request.GetConfig()
	name := config.GetImage().GetImage()
	image, err := s.images.Find(name)
	if err != nil {
		return nil, notFound("image %q: %v", name, err)
	}
	process, err := newProcess(config, image, pod.config.GetHostname())
	if err != nil {
		return nil, err
	}
	encoded, err := encode(config)
	if err != nil {
		return nil, invalid("container: %v", err)
	}
	c := &container{config: config, containerRecord: containerRecord{
		ID: newID(), Sandbox: pod.ID, Config: encoded, Created: time.Now(), Image: config.GetImage().GetUserSpecifiedImage(),
		ImageID: image.ID(), Process: process,
	}}
	if c.Image == "" {
		c.Image = name
	}
	if config.GetLogPath() != "" && pod.config.GetLogDirectory() != "" {
		c.Log = filepath.Join(pod.config.GetLogDirectory(), config.GetLogPath())
	}
	c.folder = spec.Folder(filepath.Join(s.containerRoot(), c.ID))
	mounts, err := s.mounts(config, image)
	if err != nil {
		return nil, err
	}
	root := rootfs.Root{
		Hostname: pod.config.GetHostname(), Resolver: resolver(pod.config.GetDnsConfig()), UID: process.UID, GID: process.GID, Mounts: mounts,
		ReadOnly: config.GetLinux().GetSecurityContext().GetReadonlyRootfs(),
	}
	if err := s.prepare(c, root); err != nil {
		return nil, failed("container %s: %v", config.GetMetadata().GetName(), errors.Join(err, os.RemoveAll(string(c.folder))))
	}
	s.mutex.Lock()
	s.containers[c.ID] = c
	s.mutex.Unlock()
	return &cri.CreateContainerResponse{ContainerId: c.ID}, nil
}

func (s *Service) prepare(c *container, root rootfs.Root) error {
	if err := os.MkdirAll(c.folder.Root(), 0o755); err != nil {
		return err
	}
	arguments, err := rootfs.Build(c.folder.Root(), root)
	if err != nil {
		return err
	}
	c.Mounts = arguments
	return s.saveContainer(c)
}

// StartContainer starts the container's shim and waits until its command runs.
func (s *Service) StartContainer(_ context.Context, request *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	s.mutex.RLock()
	c := s.containers[request.GetContainerId()]
	s.mutex.RUnlock()
	if c == nil {
		return nil, notFound("no container %s", request.GetContainerId())
	}
	pod, err := s.readySandbox(c.Sandbox)
	if err != nil {
		return nil, err
	}
	if err := unix.Mkfifo(c.folder.Alive(), 0o600); err != nil { // also what keeps a container from being started twice
		if errors.Is(err, os.ErrExist) {
			return nil, unmet("container %s was started before", c.ID)
		}
		return nil, failed("container %s: %v", c.ID, err)
	}
	if err := s.start(c, pod); err != nil {
		return nil, s.startFailed(c, err)
	}
	if err := s.watch(c); err != nil {
		return nil, failed("container %s: %v", c.ID, err)
	}
	return &cri.StartContainerResponse{}, nil
}

func (s *Service) start(c *container, pod *sandbox) error {
	what := spec.Container{
		Bubblewrap: c.Mounts, Namespaces: namespaces.Paths(pod.Pause, "net", "uts", "ipc"), Log: c.Log, Process: c.Process,
	}
	if err := spec.Write(c.folder.Spec(), what); err != nil {
		return err
	}
	answer, answerEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answer.Close()
	shim := exec.Command(s.shim, "run", string(c.folder))
	shim.Dir = "/"
	shim.Env = []string{"PATH=" + os.Getenv("PATH"), "GOMAXPROCS=2"}
	shim.Stdout, shim.Stderr = os.Stderr, os.Stderr
	shim.ExtraFiles = []*os.File{answerEnd}
	shim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = shim.Start()
	answerEnd.Close()
	if err != nil {
		return fmt.Errorf("shim: %w", err)
	}
	pid := shim.Process.Pid
	if err := s.reaper.leave(shim.Process); err != nil {
		return err
	}
	if err := answer.SetReadDeadline(time.Now().Add(startWithin)); err != nil {
		return err
	}
	var report spec.Report
	if err := json.NewDecoder(answer).Decode(&report); err != nil {
		return errors.Join(fmt.Errorf("shim gave no answer: %w", err), unix.Kill(pid, unix.SIGKILL))
	}
	if report.Error != "" {
		return errors.New(report.Error)
	}
	return nil
}

// startFailed records why a container never ran, as the kubelet shows it: reason StartError, exit code 128.
func (s *Service) startFailed(c *container, problem error) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c.Failure = problem.Error()
	c.exit = &spec.Exit{Code: startFailedCode, At: time.Now()}
	if err := s.saveContainer(c); err != nil {
		problem = errors.Join(problem, err)
	}
	return failed("failed to start container %q: %v", c.config.GetMetadata().GetName(), problem)
}

// watch follows a shim by the pipe that it holds open. Where there is no shim any more the end is seen at once.
func (s *Service) watch(c *container) error {
	// Without O_NONBLOCK the open would wait for a writer, which may be gone for good.
	alive, err := os.OpenFile(c.folder.Alive(), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	var started spec.Started
	err = spec.Read(c.folder.Started(), &started)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, alive.Close())
	}
	s.mutex.Lock()
	if err == nil {
		c.started = &started
	}
	c.done = make(chan struct{})
	s.mutex.Unlock()
	go func() {
		defer alive.Close()
		if _, err := io.Copy(io.Discard, alive); err != nil {
			slog.Error("watching a container", "id", c.ID, "error", err)
		}
		s.ended(c)
	}()
	return nil
}

func (s *Service) ended(c *container) {
	var exit spec.Exit
	if err := spec.Read(c.folder.Exit(), &exit); err != nil {
		slog.Error("a shim ended without saying how its container did", "id", c.ID, "error", err)
		exit = spec.Exit{Code: killedCode, At: time.Now()}
	}
	if exit.LogProblem != "" {
		slog.Error("the log of a container is not complete", "id", c.ID, "error", exit.LogProblem)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c.exit = &exit
	close(c.done)
}

// running gives a container that runs.
func (s *Service) running(id string) (*container, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	c, ok := s.containers[id]
	if !ok {
		return nil, notFound("no container %s", id)
	}
	if c.state() != cri.ContainerState_CONTAINER_RUNNING {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s is not running", id)
	}
	return c, nil
}
