// Package shim is the parent of one container. It outlives the runtime that started it: it keeps the container's log, waits for its
// end and leaves the exit code where a restarted runtime finds it.
package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"bramble.dev/nodebox/internal/launch"
	"bramble.dev/nodebox/internal/namespaces"
	"bramble.dev/nodebox/internal/proc"
	"bramble.dev/nodebox/internal/spec"
	"golang.org/x/sys/unix"
)

const (
	// Descriptors that bwrap and the launcher inherit.
	statusDescriptor   = 3
	launcherDescriptor = 4
	specDescriptor     = 5
	reportDescriptor   = 6

	// reportPipe is the descriptor on which the runtime hears that the container started.
	reportPipe = 3
	signalBase = 128
)

// Main runs `run FOLDER`: one container, from start to end. It is called on the main thread, which enters the pod's namespaces and
// is the parent whose death ends the container.
func Main(arguments []string) {
	if len(arguments) != 1 {
		fmt.Fprintln(os.Stderr, "usage: run FOLDER, with a pipe for the report as descriptor 3")
		os.Exit(64)
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	unix.CloseOnExec(reportPipe)
	report := os.NewFile(reportPipe, "report")
	if err := run(spec.Folder(arguments[0]), report); err != nil {
		fmt.Fprintln(os.Stderr, "shim:", err)
		os.Exit(1)
	}
}

func run(folder spec.Folder, report *os.File) error {
	alive, err := os.OpenFile(folder.Alive(), os.O_RDWR, 0)
	if err != nil {
		return refuse(report, err)
	}
	defer alive.Close()
	var container spec.Container
	if err := spec.Read(folder.Spec(), &container); err != nil {
		return refuse(report, err)
	}
	log, err := openLog(container.Log)
	if err != nil {
		return refuse(report, err)
	}
	started, err := start(folder, container)
	if err != nil {
		return refuse(report, err)
	}
	if err := spec.Write(folder.Started(), started.Started); err != nil {
		return errors.Join(refuse(report, err), started.command.Process.Kill())
	}
	if err := answer(report, spec.Report{Started: &started.Started}); err != nil {
		fmt.Fprintln(os.Stderr, "shim: the runtime ended meanwhile, the next one adopts this container:", err)
	}
	log.reopenOnSignal()
	var streams sync.WaitGroup
	streams.Go(func() { log.copy("stdout", started.stdout) })
	streams.Go(func() { log.copy("stderr", started.stderr) })
	streams.Wait()
	code, err := exitCode(started.command.Wait())
	if err := errors.Join(err, started.status.Close()); err != nil {
		return err
	}
	exit := spec.Exit{Code: code, At: time.Now()}
	if err := log.close(); err != nil {
		exit.LogProblem = err.Error()
	}
	return spec.Write(folder.Exit(), exit)
}

// running is a container whose command has been executed.
type running struct {
	spec.Started
	command        *exec.Cmd
	stdout, stderr io.Reader
	// status stays open: bwrap writes to it once more at the end, and would die of a pipe without a reader.
	status io.Closer
}

// start makes the container and waits until its command runs.
func start(folder spec.Folder, container spec.Container) (*running, error) {
	if err := namespaces.Enter(container.Namespaces); err != nil {
		return nil, err
	}
	status, statusEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	said, saidEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	inherited, err := openAll("/proc/self/exe", folder.Spec())
	if err != nil {
		return nil, err
	}
	command := exec.Command("bwrap", bubblewrap(container.Bubblewrap)...)
	command.Env = []string{}
	command.ExtraFiles = []*os.File{statusEnd, inherited[0], inherited[1], saidEnd}
	stdout, stdoutEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stderr, stderrEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = stdoutEnd, stderrEnd
	err = command.Start()
	for _, file := range append(inherited, statusEnd, saidEnd, stdoutEnd, stderrEnd) {
		file.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("bwrap: %w", err)
	}
	if err := reached(said, stderr, command); err != nil {
		return nil, err
	}
	var first struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(status).Decode(&first); err != nil {
		return nil, errors.Join(fmt.Errorf("status of bwrap: %w", err), command.Process.Kill())
	}
	birth, err := proc.Birth(first.PID)
	if err != nil && !errors.Is(err, os.ErrProcessDone) { // it may have ended already
		return nil, errors.Join(err, command.Process.Kill())
	}
	born := spec.Started{PID: first.PID, Birth: birth, Shim: os.Getpid(), At: time.Now()}
	return &running{Started: born, command: command, stdout: stdout, stderr: stderr, status: status}, nil
}

func bubblewrap(mounts []string) []string {
	arguments := append([]string{}, mounts...)
	arguments = append(arguments, "--unshare-pid", "--as-pid-1", "--die-with-parent", "--json-status-fd", strconv.Itoa(statusDescriptor))
	launcher := fmt.Sprintf("/proc/self/fd/%d", launcherDescriptor)
	return append(arguments, "--", launcher, "launch", strconv.Itoa(specDescriptor), strconv.Itoa(reportDescriptor))
}

// reached waits until the launcher became the container's command. What it said instead is the error; where it was not even
// reached, bwrap said why.
func reached(said, stderr io.Reader, command *exec.Cmd) error {
	message, err := io.ReadAll(said)
	if err != nil {
		return err
	}
	problem, launched := strings.CutPrefix(string(message), launch.ReachedFlag)
	if launched && problem == "" {
		return nil
	}
	if !launched {
		output, err := io.ReadAll(stderr)
		if err != nil {
			return err
		}
		problem = "making the container's mounts: " + string(bytes.TrimSpace(output))
	}
	if err := command.Wait(); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			return err
		}
	}
	return errors.New(problem)
}

func openAll(paths ...string) ([]*os.File, error) {
	files := make([]*os.File, 0, len(paths))
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// exitCode is what bwrap passes on: the command's code, or 128 and the signal. Its own death by a signal counts the same.
func exitCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return 0, err
	}
	status, ok := ended.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return signalBase + int(status.Signal()), nil
	}
	return ended.ExitCode(), nil
}

func refuse(report *os.File, err error) error {
	return errors.Join(err, answer(report, spec.Report{Error: err.Error()}))
}

func answer(report *os.File, content spec.Report) error {
	return errors.Join(json.NewEncoder(report).Encode(content), report.Close())
}
