package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bramble.dev/nodebox/internal/launch"
	"bramble.dev/nodebox/internal/spec"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// syncOutputBytes is what ExecSync keeps of each stream, as containerd does.
	syncOutputBytes = 16 << 20
	// lingerWithin is how long children of a command may hold its streams open after it ended.
	lingerWithin = 5 * time.Second

	execLauncher = 3
	execSpec     = 4
	execReport   = 5
	signalBase   = 128
)

// inside is a command in a running container, with that container's user and environment.
type inside struct {
	command *exec.Cmd
	said    *os.File
	theirs  []*os.File
}

// inside prepares a command: nsenter goes into the namespaces of the container's first process, and the launcher becomes the command.
func (s *Service) inside(ctx context.Context, c *container, arguments []string, terminal bool) (*inside, error) {
	process := c.Process
	process.Args, process.Terminal = arguments, terminal
	if terminal {
		process.Env = append([]string{"TERM=xterm"}, process.Env...)
	}
	launcher, err := os.Open(s.shim)
	if err != nil {
		return nil, err
	}
	source, sourceEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	said, saidEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() { // more than a pipe holds would wait for its reader
		defer sourceEnd.Close()
		_ = json.NewEncoder(sourceEnd).Encode(spec.Container{Process: process}) // a reader that is gone is seen by its report
	}()
	command := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(c.started.PID), "--mount", "--uts", "--ipc", "--net", "--pid",
		"--", fmt.Sprintf("/proc/self/fd/%d", execLauncher), "launch", strconv.Itoa(execSpec), strconv.Itoa(execReport))
	command.Dir, command.Env = "/", []string{}
	command.ExtraFiles = []*os.File{launcher, source, saidEnd}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.WaitDelay = lingerWithin
	return &inside{command: command, said: said, theirs: command.ExtraFiles}, nil
}

// start starts the command and waits until it runs.
func (i *inside) start() error {
	err := i.command.Start()
	for _, file := range i.theirs {
		file.Close()
	}
	defer i.said.Close()
	if err != nil {
		return fmt.Errorf("nsenter: %w", err)
	}
	message, err := io.ReadAll(i.said)
	if err != nil {
		return err
	}
	problem, launched := strings.CutPrefix(string(message), launch.ReachedFlag)
	if launched && problem == "" {
		return nil
	}
	if !launched {
		problem = "its namespaces cannot be entered; it may have ended"
	}
	if err := i.command.Wait(); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			return err
		}
	}
	return errors.New(problem)
}

// wait gives the command's exit code, or 128 and the signal that ended it.
func (i *inside) wait() (int, error) {
	err := i.command.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return i.command.ProcessState.ExitCode(), nil
	case !errors.As(err, &ended):
		return 0, err
	}
	if state, ok := ended.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return signalBase + int(state.Signal()), nil
	}
	return ended.ExitCode(), nil
}

// ExecSync runs a command to its end: probes and lifecycle hooks.
func (s *Service) ExecSync(ctx context.Context, request *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	c, err := s.running(request.GetContainerId())
	if err != nil {
		return nil, err
	}
	if len(request.GetCmd()) == 0 {
		return nil, invalid("no command to execute")
	}
	if limit := request.GetTimeout(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(limit)*time.Second)
		defer cancel()
	}
	command, err := s.inside(ctx, c, request.GetCmd(), false)
	if err != nil {
		return nil, failed("exec in %s: %v", c.ID, err)
	}
	stdout, stderr := &bounded{limit: syncOutputBytes}, &bounded{limit: syncOutputBytes}
	command.command.Stdout, command.command.Stderr = stdout, stderr
	if err := command.start(); err != nil {
		return nil, failed("failed to exec in container %s: %v", c.ID, err)
	}
	code, err := command.wait()
	if ctx.Err() != nil {
		return nil, status.Errorf(codes.DeadlineExceeded, "command %q timed out after %d s", request.GetCmd()[0], request.GetTimeout())
	}
	if err != nil {
		return nil, failed("exec in %s: %v", c.ID, err)
	}
	return &cri.ExecSyncResponse{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: int32(code)}, nil
}

// bounded keeps the first bytes that are written to it and drops the rest.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(content []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		b.Buffer.Write(content[:min(room, len(content))])
	}
	return len(content), nil
}
