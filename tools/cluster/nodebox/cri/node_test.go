package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	within     = 20 * time.Second
	interval   = 5 * time.Millisecond
	imageName  = "test.local/tools:v1"
	imageUser  = 65532
	nodeScript = `ip link set lo up && ip address add 10.9.9.1/32 dev lo && echo 1 > /proc/sys/net/ipv4/ip_forward && touch "$1" &&
trap '' CHLD && exec sleep infinity`
)

// node is a machine of its own for one runtime: namespaces with a first process that outlives the runtime, as a node has them.
type node struct {
	*testing.T
	folder  string
	program string
	first   int
	runtime int
	cri.RuntimeServiceClient
	images cri.ImageServiceClient
}

var programs string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Println("skipped: containers need root")
		return
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	folder, err := os.MkdirTemp("", "cri-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	programs = folder
	for name, source := range map[string]string{"cri": ".", "cri-shim": "../shim"} {
		build := exec.Command("go", "build", "-o", filepath.Join(folder, name), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s: %w\n%s", name, err, output)
		}
	}
	return m.Run(), nil
}

func startNode(t *testing.T) *node {
	t.Helper()
	n := &node{T: t, folder: t.TempDir()}
	ready := filepath.Join(n.folder, "ready")
	machine := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", nodeScript, "sh", ready)
	machine.Stderr = os.Stderr
	machine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.check(machine.Start())
	t.Cleanup(func() {
		n.check(machine.Process.Kill())
		if err := machine.Wait(); err == nil {
			t.Error("the node ended by itself")
		}
	})
	n.until("the node's namespaces", func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	n.first = n.child(machine.Process.Pid)
	n.table(map[string]any{"reference": "test.local/tools", "tag": "v1", "digest": "sha256:" + strings.Repeat("a", 64), "user": imageUser,
		"cmd": []string{"sh", "-c", "echo command of the image"}, "env": map[string]string{"FROM_IMAGE": "yes"}})
	n.boot()
	return n
}

// boot starts the runtime and waits until it answers.
func (n *node) boot() {
	n.Helper()
	socket := filepath.Join(n.folder, "cri.sock")
	command := exec.Command("nsenter", "--target", strconv.Itoa(n.first), "--mount", "--net", "--pid", filepath.Join(programs, "cri"),
		"--socket", socket, "--state", filepath.Join(n.folder, "state"), "--images", filepath.Join(n.folder, "images.json"),
		"--host-paths", filepath.Join(n.folder, "host-paths.json"), "--node", "test", "--node-address", "10.9.9.1",
		"--stream-port", "10300", "--pod-cidr", "10.9.0.0/24", "--log", filepath.Join(n.folder, "cri.log"))
	command.Stderr = os.Stderr
	n.check(command.Start())
	go command.Wait() //nolint:errcheck // its end is the test's doing
	n.until("the runtime's process", func() bool { n.runtime = n.child(command.Process.Pid); return n.runtime != 0 })
	n.until("the runtime's socket", func() bool {
		answers, err := net.Dial("unix", socket)
		return err == nil && answers.Close() == nil
	})
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	n.check(err)
	n.Cleanup(func() { connection.Close() })
	n.RuntimeServiceClient, n.images = cri.NewRuntimeServiceClient(connection), cri.NewImageServiceClient(connection)
	_, err = n.Version(n.Context(), &cri.VersionRequest{})
	n.check(err)
}

func (n *node) table(images ...map[string]any) {
	n.Helper()
	content, err := json.Marshal(map[string]any{"images": images})
	n.check(err)
	n.check(os.WriteFile(filepath.Join(n.folder, "images.json"), content, 0o600))
}

func (n *node) check(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *node) until(what string, condition func() bool) {
	n.Helper()
	for deadline := time.Now().Add(within); !condition(); {
		if time.Now().After(deadline) {
			log, err := os.ReadFile(filepath.Join(n.folder, "cri.log"))
			n.Fatalf("not within %s: %s\n%s", within, what, errors.Join(err, errors.New(string(log))))
		}
		timer := time.NewTimer(interval)
		<-timer.C
	}
}

// children are those of every thread of a process.
func (n *node) children(pid int) []int {
	n.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	n.check(err)
	var children []int
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that has ended
		}
		n.check(err)
		for _, field := range strings.Fields(string(content)) {
			child, err := strconv.Atoi(field)
			n.check(err)
			children = append(children, child)
		}
	}
	return children
}

// child is the only one, or 0.
func (n *node) child(pid int) int {
	n.Helper()
	if children := n.children(pid); len(children) > 0 {
		return children[0]
	}
	return 0
}

// pod runs a sandbox; the changes come last.
func (n *node) pod(name string, changes ...func(*cri.PodSandboxConfig)) string {
	n.Helper()
	answer, err := n.RunPodSandbox(n.Context(), &cri.RunPodSandboxRequest{Config: n.podConfig(name, changes...)})
	n.check(err)
	return answer.GetPodSandboxId()
}

func (n *node) podConfig(name string, changes ...func(*cri.PodSandboxConfig)) *cri.PodSandboxConfig {
	config := &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Namespace: "default", Uid: name}, Hostname: name,
		LogDirectory: filepath.Join(n.folder, "logs", name), Labels: map[string]string{"pod": name},
		Annotations: map[string]string{"note": "kept"}, DnsConfig: &cri.DNSConfig{Servers: []string{"127.0.0.1"}, Searches: []string{"svc"}},
		Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER},
		}},
	}
	for _, change := range changes {
		change(config)
	}
	return config
}

// start creates and starts a container of a shell script; the changes come last.
func (n *node) start(pod, name, script string, changes ...func(*cri.ContainerConfig)) string {
	n.Helper()
	id := n.create(pod, name, script, changes...)
	_, err := n.StartContainer(n.Context(), &cri.StartContainerRequest{ContainerId: id})
	n.check(err)
	return id
}

func (n *node) create(pod, name, script string, changes ...func(*cri.ContainerConfig)) string {
	n.Helper()
	answer, err := n.CreateContainer(n.Context(), &cri.CreateContainerRequest{
		PodSandboxId: pod, Config: n.containerConfig(name, script, changes...),
	})
	n.check(err)
	return answer.GetContainerId()
}

func (n *node) containerConfig(name, script string, changes ...func(*cri.ContainerConfig)) *cri.ContainerConfig {
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: imageName}, LogPath: name + "/0.log",
		Labels: map[string]string{"container": name}, Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{}},
	}
	if script != "" {
		config.Command, config.Args = []string{"sh", "-c"}, []string{script}
	}
	for _, change := range changes {
		change(config)
	}
	return config
}

func (n *node) status(id string) *cri.ContainerStatus {
	n.Helper()
	answer, err := n.ContainerStatus(n.Context(), &cri.ContainerStatusRequest{ContainerId: id})
	n.check(err)
	return answer.GetStatus()
}

// ended waits for a container's end and gives its status and what it said.
func (n *node) ended(id string) (*cri.ContainerStatus, string) {
	n.Helper()
	var last *cri.ContainerStatus
	n.until("the end of container "+id, func() bool {
		last = n.status(id)
		return last.GetState() == cri.ContainerState_CONTAINER_EXITED
	})
	return last, n.said(last)
}

// said gives the text of a log without what the CRI puts before each line.
func (n *node) said(status *cri.ContainerStatus) string {
	n.Helper()
	content, err := os.ReadFile(status.GetLogPath())
	n.check(err)
	var text strings.Builder
	for line := range strings.Lines(string(content)) {
		parts := strings.SplitN(line, " ", 4)
		text.WriteString(parts[3])
	}
	return text.String()
}

// says waits until a container has said something.
func (n *node) says(id, text string) {
	n.Helper()
	n.until(fmt.Sprintf("container %s says %q", id, text), func() bool {
		status := n.status(id)
		if status.GetState() == cri.ContainerState_CONTAINER_EXITED {
			n.Fatalf("it ended with %d: %s", status.GetExitCode(), n.said(status))
		}
		return strings.Contains(n.said(status), text)
	})
}

func (n *node) run(pod string, command ...string) (string, int32) {
	n.Helper()
	answer, err := n.ExecSync(n.Context(), &cri.ExecSyncRequest{ContainerId: pod, Cmd: command})
	n.check(err)
	return string(answer.GetStdout()) + string(answer.GetStderr()), answer.GetExitCode()
}

func stop(ctx context.Context, n *node, id string, seconds int64) {
	n.Helper()
	_, err := n.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: seconds})
	n.check(err)
}
