package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bramble.dev/nodebox/internal/proc"
	"bramble.dev/nodebox/internal/spec"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	sandboxFile   = "sandbox.json"
	containerFile = "container.json"
	idBytes       = 32
)

// sandbox is a pod as this service keeps it. Fields change under the service's mutex only.
type sandbox struct {
	sandboxRecord
	config *cri.PodSandboxConfig
	// stopping is held while the pod is taken down, so that lists do not wait for the kernel.
	stopping sync.Mutex
}

type sandboxRecord struct {
	ID      string          `json:"id"`
	Config  json.RawMessage `json:"config"`
	Created time.Time       `json:"created"`
	// Pause is the process that holds the namespaces.
	Pause      int        `json:"pause"`
	PauseBirth uint64     `json:"pauseBirth"`
	Address    netip.Addr `json:"address"`
	Stopped    bool       `json:"stopped"`
}

// ready is called with the service's mutex held.
func (s *sandbox) ready() bool { return !s.Stopped && proc.Alive(s.Pause, s.PauseBirth) }

func (s *sandbox) state() cri.PodSandboxState {
	if s.ready() {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

// container is a container as this service keeps it.
type container struct {
	containerRecord
	config *cri.ContainerConfig
	folder spec.Folder

	started *spec.Started
	exit    *spec.Exit
	// done is closed when the container has ended; it is nil until it was started.
	done chan struct{}
}

type containerRecord struct {
	ID      string          `json:"id"`
	Sandbox string          `json:"sandbox"`
	Config  json.RawMessage `json:"config"`
	Created time.Time       `json:"created"`
	// Image is the reference as the pod gave it, ImageID what it stood for.
	Image   string       `json:"image"`
	ImageID string       `json:"imageID"`
	Log     string       `json:"log"`
	Process spec.Process `json:"process"`
	Mounts  []string     `json:"mounts"`
	// Failure is why the container could not be started.
	Failure string `json:"failure,omitempty"`
}

func (c *container) state() cri.ContainerState {
	switch {
	case c.exit != nil:
		return cri.ContainerState_CONTAINER_EXITED
	case c.started != nil:
		return cri.ContainerState_CONTAINER_RUNNING
	default:
		return cri.ContainerState_CONTAINER_CREATED
	}
}

func newID() string {
	id := make([]byte, idBytes)
	if _, err := rand.Read(id); err != nil {
		panic(err) // crypto/rand never fails on Linux
	}
	return hex.EncodeToString(id)
}

func encode(message proto.Message) (json.RawMessage, error) { return protojson.Marshal(message) }

func decode(content json.RawMessage, message proto.Message) error {
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(content, message)
}

func (s *Service) saveSandbox(pod *sandbox) error {
	return spec.Write(filepath.Join(s.sandboxRoot(), pod.ID, sandboxFile), pod.sandboxRecord)
}

func (s *Service) saveContainer(c *container) error {
	return spec.Write(filepath.Join(string(c.folder), containerFile), c.containerRecord)
}

// adopt loads what an earlier service left. Folders without a record are those of a creation that never ended: they are removed.
func (s *Service) adopt() error {
	sandboxes, err := os.ReadDir(s.sandboxRoot())
	if err != nil {
		return err
	}
	for _, entry := range sandboxes {
		if err := s.adoptSandbox(filepath.Join(s.sandboxRoot(), entry.Name())); err != nil {
			return err
		}
	}
	containers, err := os.ReadDir(s.containerRoot())
	if err != nil {
		return err
	}
	for _, entry := range containers {
		if err := s.adoptContainer(spec.Folder(filepath.Join(s.containerRoot(), entry.Name()))); err != nil {
			return err
		}
	}
	if len(s.sandboxes) > 0 {
		slog.Info("adopted", "sandboxes", len(s.sandboxes), "containers", len(s.containers))
	}
	return nil
}

func (s *Service) adoptSandbox(folder string) error {
	pod := &sandbox{config: &cri.PodSandboxConfig{}}
	err := spec.Read(filepath.Join(folder, sandboxFile), &pod.sandboxRecord)
	if errors.Is(err, os.ErrNotExist) {
		return os.RemoveAll(folder)
	}
	if err != nil {
		return err
	}
	if err := decode(pod.Config, pod.config); err != nil {
		return fmt.Errorf("sandbox %s: %w", pod.ID, err)
	}
	if pod.Address.IsValid() && !pod.Stopped {
		s.pool.Keep(pod.Address)
	}
	s.sandboxes[pod.ID] = pod
	return nil
}

func (s *Service) adoptContainer(folder spec.Folder) error {
	c := &container{config: &cri.ContainerConfig{}, folder: folder}
	err := spec.Read(filepath.Join(string(folder), containerFile), &c.containerRecord)
	if errors.Is(err, os.ErrNotExist) {
		return os.RemoveAll(string(folder))
	}
	if err != nil {
		return err
	}
	if err := decode(c.Config, c.config); err != nil {
		return fmt.Errorf("container %s: %w", c.ID, err)
	}
	s.containers[c.ID] = c
	if c.Failure != "" {
		c.exit = &spec.Exit{Code: startFailedCode, At: c.Created}
		return nil
	}
	if _, err := os.Stat(folder.Alive()); errors.Is(err, os.ErrNotExist) {
		return nil // created, and never started
	}
	return s.watch(c)
}
