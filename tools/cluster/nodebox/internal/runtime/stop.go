package runtime

import (
	"context"
	"errors"
	"os"
	"time"

	"bramble.dev/nodebox/internal/proc"
	"bramble.dev/nodebox/internal/shim"
	"bramble.dev/nodebox/internal/spec"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// dieWithin is how long a killed container may take until its log is drained.
const dieWithin = 30 * time.Second

// StopContainer asks the container's first process to end, and kills it after the timeout. One that is gone is no error.
func (s *Service) StopContainer(ctx context.Context, request *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	s.mutex.RLock()
	c := s.containers[request.GetContainerId()]
	s.mutex.RUnlock()
	if c != nil {
		if err := s.stopContainer(ctx, c, time.Duration(request.GetTimeout())*time.Second); err != nil {
			return nil, err
		}
	}
	return &cri.StopContainerResponse{}, nil
}

func (s *Service) stopContainer(ctx context.Context, c *container, grace time.Duration) error {
	s.mutex.RLock()
	done, started := c.done, c.started
	s.mutex.RUnlock()
	if done == nil {
		return nil // never started
	}
	if started == nil {
		// An earlier service was killed while it started this one.
		started = &spec.Started{}
		if err := spec.Read(c.folder.Started(), started); err != nil && !errors.Is(err, os.ErrNotExist) {
			return failed("stopping %s: %v", c.ID, err)
		}
	}
	if grace > 0 {
		if err := proc.Signal(started.PID, started.Birth, stopSignal(c.config)); err != nil {
			return failed("stopping %s: %v", c.ID, err)
		}
		if ended, err := wait(ctx, done, grace); ended || err != nil {
			return err
		}
	}
	if err := proc.Signal(started.PID, started.Birth, unix.SIGKILL); err != nil {
		return failed("killing %s: %v", c.ID, err)
	}
	ended, err := wait(ctx, done, dieWithin)
	if err != nil || ended {
		return err
	}
	return failed("container %s was killed and has not ended after %s", c.ID, dieWithin)
}

func wait(ctx context.Context, done <-chan struct{}, limit time.Duration) (bool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// stopSignal is SIGTERM unless the pod's lifecycle.stopSignal names another.
func stopSignal(config *cri.ContainerConfig) unix.Signal {
	if signal := unix.SignalNum(config.GetStopSignal().String()); signal != 0 {
		return signal
	}
	return unix.SIGTERM
}

// RemoveContainer kills the container if it runs, and removes its folder. One that is gone is no error.
func (s *Service) RemoveContainer(ctx context.Context, request *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	s.mutex.RLock()
	c := s.containers[request.GetContainerId()]
	s.mutex.RUnlock()
	if c != nil {
		if err := s.removeContainer(ctx, c); err != nil {
			return nil, err
		}
	}
	return &cri.RemoveContainerResponse{}, nil
}

func (s *Service) removeContainer(ctx context.Context, c *container) error {
	if err := s.stopContainer(ctx, c, 0); err != nil {
		return err
	}
	// The mounts were in the container's own namespace and ended with it: nothing but the folder itself can be reached from here.
	if err := os.RemoveAll(string(c.folder)); err != nil {
		return failed("removing %s: %v", c.ID, err)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.containers, c.ID)
	return nil
}

// ReopenContainerLog makes the container's shim begin a new file under the log's name.
func (s *Service) ReopenContainerLog(_ context.Context, request *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	c, err := s.running(request.GetContainerId())
	if err != nil {
		return nil, err
	}
	if err := unix.Kill(c.started.Shim, shim.ReopenSignal); err != nil {
		return nil, failed("shim of %s: %v", c.ID, err)
	}
	return &cri.ReopenContainerLogResponse{}, nil
}
