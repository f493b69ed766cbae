package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func address(n *node, pod string) string {
	n.Helper()
	answer, err := n.PodSandboxStatus(n.Context(), &cri.PodSandboxStatusRequest{PodSandboxId: pod})
	n.check(err)
	return answer.GetStatus().GetNetwork().GetIp()
}

const (
	server = `import http.server; http.server.HTTPServer(("", 80), http.server.SimpleHTTPRequestHandler).serve_forever()`
	client = `import sys, urllib.request
try: print(urllib.request.urlopen(f"http://{sys.argv[1]}/etc/hostname", timeout=5).read().decode())
except urllib.error.URLError as e: sys.exit(75 if isinstance(e.reason, ConnectionRefusedError) else repr(e))`
)

func python(script string, arguments ...string) func(*cri.ContainerConfig) {
	return func(c *cri.ContainerConfig) {
		c.Command, c.Args = append([]string{"python3", "-c", script}, arguments...), nil
	}
}

func TestPodsReachEachOther(t *testing.T) {
	n := startNode(t)
	serving, asking := n.pod("serving"), n.pod("asking")
	n.start(serving, "main", "", python(server))
	for _, row := range []struct{ what, pod, address string }{
		{"another pod, on a low port without a capability", asking, address(n, serving)},
		{"a container beside it", serving, "127.0.0.1"},
	} {
		t.Run(row.what, func(t *testing.T) {
			n.until("an answer", func() bool {
				got, said := n.ended(n.start(row.pod, "client", "", python(client, row.address)))
				if got.GetExitCode() == 75 { // not listening yet
					return false
				}
				if got.GetExitCode() != 0 || strings.TrimSpace(said) != "serving" {
					t.Fatalf("exit %d, said %q", got.GetExitCode(), said)
				}
				return true
			})
		})
	}
}

func TestAPodIsDescribedAsItWasAskedFor(t *testing.T) {
	n := startNode(t)
	id := n.pod("described", func(c *cri.PodSandboxConfig) {
		c.Linux.Sysctls = map[string]string{"net.ipv4.tcp_keepalive_time": "77", "kernel.shm_rmid_forced": "1"}
	})
	list, err := n.ListPodSandbox(t.Context(), &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{
		LabelSelector: map[string]string{"pod": "described"},
		State:         &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY},
	}})
	n.check(err)
	if items := list.GetItems(); len(items) != 1 || items[0].GetId() != id || items[0].GetAnnotations()["note"] != "kept" {
		t.Fatalf("listed %v", items)
	}
	const script = "cat /proc/sys/net/ipv4/tcp_keepalive_time /proc/sys/kernel/shm_rmid_forced /etc/resolv.conf; cat /proc/net/route | wc -l"
	_, said := n.ended(n.start(id, "main", script))
	if want := "77\n1\nsearch svc\nnameserver 127.0.0.1\n3\n"; said != want {
		t.Fatalf("said %q", said)
	}
	host := n.pod("host", func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Network = cri.NamespaceMode_NODE
	})
	if got := address(n, host); got != "" {
		t.Fatalf("a pod on the node's network has an address of its own: %s", got)
	}
	if _, said := n.ended(n.start(host, "main", "grep -c pod /proc/net/dev")); strings.TrimSpace(said) != "1" {
		t.Fatalf("a pod on the node's network sees %q links of pods", said)
	}
}

func TestWhatIsNotThereIsRefused(t *testing.T) {
	n := startNode(t)
	for what, change := range map[string]func(*cri.PodSandboxConfig){
		"hostPort": func(c *cri.PodSandboxConfig) { c.PortMappings = []*cri.PortMapping{{HostPort: 80, ContainerPort: 80}} },
		"hostPID": func(c *cri.PodSandboxConfig) {
			c.Linux.SecurityContext.NamespaceOptions.Pid = cri.NamespaceMode_NODE
		},
	} {
		config := n.podConfig("refused", change)
		if _, err := n.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: config}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	list, err := n.ListPodSandbox(t.Context(), &cri.ListPodSandboxRequest{})
	n.check(err)
	if len(list.GetItems()) != 0 {
		t.Errorf("left behind: %v", list.GetItems())
	}
}

func TestARemovedPodLeavesNothing(t *testing.T) {
	n := startNode(t)
	id := n.pod("gone")
	c := n.start(id, "main", "echo up; sleep 1000")
	n.says(c, "up")
	for range 2 { // the kubelet repeats itself
		_, err := n.StopPodSandbox(t.Context(), &cri.StopPodSandboxRequest{PodSandboxId: id})
		n.check(err)
	}
	if got := n.status(c); got.GetState() != cri.ContainerState_CONTAINER_EXITED || got.GetExitCode() != 137 {
		t.Fatalf("status %v", got)
	}
	for range 2 {
		_, err := n.RemovePodSandbox(t.Context(), &cri.RemovePodSandboxRequest{PodSandboxId: id})
		n.check(err)
	}
	for _, folder := range []string{"sandboxes", "containers"} {
		left, err := os.ReadDir(filepath.Join(n.folder, "state", folder))
		if err != nil || len(left) != 0 {
			t.Errorf("%s: %v, %v", folder, left, err)
		}
	}
	n.until("the end of every process", func() bool {
		return len(n.children(n.runtime)) == 0
	})
	links, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", n.first))
	if err != nil || strings.Contains(string(links), "pod") {
		t.Errorf("links: %v\n%s", err, links)
	}
	if next := address(n, n.pod("next")); next == "10.9.0.1" {
		t.Errorf("the address of the pod before is given again at once: %s", next)
	}
}

func TestARestartedRuntimeAdoptsWhatRuns(t *testing.T) {
	n := startNode(t)
	pod := n.pod("lasting")
	const waits = "echo up; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo down; exit 5"
	first, second, created := n.start(pod, "first", waits), n.start(pod, "second", waits), n.create(pod, "created", "echo late")
	over, _ := n.ended(n.start(pod, "over", "exit 9"))
	n.says(first, "up")
	n.says(second, "up")
	where := address(n, pod)
	n.check(syscall.Kill(n.runtime, syscall.SIGKILL))
	n.until("the end of the runtime", func() bool { return syscall.Kill(n.runtime, 0) != nil })
	// The second ends while no runtime is there to see it.
	n.check(os.WriteFile(filepath.Join(n.folder, "state/containers", second, "root/tmp/go"), nil, 0o644))
	exit := filepath.Join(n.folder, "state/containers", second, "exit.json")
	n.until("the second's end", func() bool { _, err := os.Stat(exit); return err == nil })
	n.boot()
	if got := n.status(first); got.GetState() != cri.ContainerState_CONTAINER_RUNNING {
		t.Fatalf("the first: %v", got)
	}
	if got, said := n.ended(second); got.GetExitCode() != 5 || said != "up\ndown\n" {
		t.Fatalf("the second: exit %d, said %q", got.GetExitCode(), said)
	}
	if got := n.status(over.GetId()); got.GetExitCode() != 9 || got.GetFinishedAt() != over.GetFinishedAt() {
		t.Fatalf("the one that was over before: %v", got)
	}
	if got := address(n, pod); got != where {
		t.Fatalf("address %s, before %s", got, where)
	}
	if said, code := n.run(first, "ls", "/tmp"); code != 0 {
		t.Fatalf("exec: exit %d, said %q", code, said)
	}
	n.check(os.WriteFile(filepath.Join(n.folder, "state/containers", first, "root/tmp/go"), nil, 0o644))
	if got, said := n.ended(first); got.GetExitCode() != 5 || said != "up\ndown\n" {
		t.Fatalf("the first: exit %d, said %q", got.GetExitCode(), said)
	}
	_, err := n.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created})
	n.check(err)
	if _, said := n.ended(created); said != "late\n" {
		t.Fatalf("the one that was only created: said %q", said)
	}
}

func TestAKilledShimTakesItsContainerWithIt(t *testing.T) {
	n := startNode(t)
	id := n.start(n.pod("orphan"), "main", "echo up; sleep 1000")
	n.says(id, "up")
	killed := 0
	for _, child := range n.children(n.runtime) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		n.check(err)
		if strings.Contains(string(line), "cri-shim") {
			n.check(syscall.Kill(child, syscall.SIGKILL))
			killed++
		}
	}
	if killed != 1 {
		t.Fatalf("%d shims", killed)
	}
	if got, _ := n.ended(id); got.GetExitCode() != 137 {
		t.Fatalf("exit %d", got.GetExitCode())
	}
}

func TestManyPodsAtOnce(t *testing.T) {
	n := startNode(t)
	const pods = 20
	addresses := make(chan string, pods)
	var all sync.WaitGroup
	for i := range pods {
		all.Go(func() {
			name := fmt.Sprintf("pod-%d", i)
			answer, err := n.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: n.podConfig(name)})
			if err != nil {
				t.Error(err)
				return
			}
			id := answer.GetPodSandboxId()
			state, err := n.PodSandboxStatus(t.Context(), &cri.PodSandboxStatusRequest{PodSandboxId: id})
			if err != nil {
				t.Error(err)
				return
			}
			addresses <- state.GetStatus().GetNetwork().GetIp()
			created, err := n.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: id, Config: n.containerConfig("main", "exit 3")})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := n.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created.GetContainerId()}); err != nil {
				t.Error(err)
			}
			if _, err := n.ListContainerStats(t.Context(), &cri.ListContainerStatsRequest{}); err != nil {
				t.Error(err)
			}
			if _, err := n.RemovePodSandbox(t.Context(), &cri.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(addresses)
	different := map[string]bool{}
	for address := range addresses {
		different[address] = true
	}
	if len(different) != pods {
		t.Errorf("%d pods had %d addresses", pods, len(different))
	}
	list, err := n.ListPodSandbox(t.Context(), &cri.ListPodSandboxRequest{})
	if err != nil || len(list.GetItems()) != 0 {
		t.Errorf("error %v, left %v", err, list.GetItems())
	}
}
