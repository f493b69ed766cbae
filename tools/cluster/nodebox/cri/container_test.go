package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestAContainerFromStartToEnd(t *testing.T) {
	n := startNode(t)
	pod := n.pod("one")
	for _, row := range []struct {
		what, script, reason, said string
		code                       int32
	}{
		{"success", "echo out", "Completed", "out\n", 0},
		{"standard error", "echo err >&2", "Completed", "err\n", 0},
		{"the image's own command and environment", "", "Completed", "command of the image\n", 0},
		{"an exit code", "exit 64", "Error", "", 64},
		{"a signal to itself", "sh -c 'kill -9 $$'; exit $?", "Error", "Killed", 137},
		{"the last words without a line break", "printf last", "Completed", "last", 0},
	} {
		t.Run(row.what, func(t *testing.T) {
			got, said := n.ended(n.start(pod, strings.ReplaceAll(row.what, " ", "-"), row.script))
			if got.GetExitCode() != row.code || got.GetReason() != row.reason || strings.TrimRight(said, "\n") != strings.TrimRight(row.said, "\n") {
				t.Fatalf("exit %d, reason %s, said %q", got.GetExitCode(), got.GetReason(), said)
			}
			if got.GetStartedAt() < got.GetCreatedAt() || got.GetFinishedAt() < got.GetStartedAt() {
				t.Fatalf("created %d, started %d, finished %d", got.GetCreatedAt(), got.GetStartedAt(), got.GetFinishedAt())
			}
		})
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	n := startNode(t)
	pod := n.pod("bad")
	for _, row := range []struct {
		what, message string
		change        func(*cri.ContainerConfig)
	}{
		{"a missing program", `exec: "absent": executable file not found in $PATH`, func(c *cri.ContainerConfig) {
			c.Command = []string{"absent"}
		}},
		{"a file that is no program", "permission denied", func(c *cri.ContainerConfig) { c.Command = []string{"/etc/passwd"} }},
		{"a mount that bwrap refuses", "making the container's mounts", func(c *cri.ContainerConfig) {
			c.Mounts = []*cri.Mount{{HostPath: t.TempDir(), ContainerPath: "/proc/self/absent"}}
		}},
	} {
		t.Run(row.what, func(t *testing.T) {
			id := n.create(pod, "x", "true", row.change)
			_, err := n.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: id})
			if err == nil || !strings.Contains(err.Error(), row.message) {
				t.Fatalf("error: %v", err)
			}
			if got := n.status(id); got.GetExitCode() != 128 || got.GetReason() != "StartError" || !strings.Contains(got.GetMessage(), row.message) {
				t.Fatalf("status: %v", got)
			}
		})
	}
	t.Run("an unknown image", func(t *testing.T) {
		unknown := &cri.ImageSpec{Image: "test.local/absent:v1"}
		if _, err := n.images.PullImage(t.Context(), &cri.PullImageRequest{Image: unknown}); status.Code(err) != codes.NotFound {
			t.Fatalf("error: %v", err)
		}
		if got, err := n.images.ImageStatus(t.Context(), &cri.ImageStatusRequest{Image: unknown}); err != nil || got.GetImage() != nil {
			t.Fatalf("error %v, image %v", err, got)
		}
	})
}

func TestAContainerIsWhoItShouldBe(t *testing.T) {
	n := startNode(t)
	pod := n.pod("who")
	const who = `id -u; id -g; id -G; grep -E '^(CapBnd|CapEff|NoNewPrivs)' /proc/self/status | cut -f2; hostname; echo $$ $PWD $FROM_IMAGE $HOME`
	asked := func(security *cri.LinuxContainerSecurityContext) func(*cri.ContainerConfig) {
		return func(c *cri.ContainerConfig) { c.Linux.SecurityContext = security }
	}
	for _, row := range []struct {
		what     string
		security *cri.LinuxContainerSecurityContext
		want     string
	}{
		{"the image's user", &cri.LinuxContainerSecurityContext{}, "65532 65532 65532 0000000000000000 00000000a80425fb 1 who 1 / yes /"},
		{"restricted, with fsGroup", &cri.LinuxContainerSecurityContext{
			RunAsUser: &cri.Int64Value{Value: 1000}, RunAsGroup: &cri.Int64Value{Value: 1001}, SupplementalGroups: []int64{2000},
			Capabilities: &cri.Capability{DropCapabilities: []string{"ALL"}}, NoNewPrivs: true,
		}, "1000 1001 1001 2000 0000000000000000 0000000000000000 1 who 1 / yes /"},
		{"root has the engines' capabilities", &cri.LinuxContainerSecurityContext{RunAsUser: &cri.Int64Value{}},
			"0 0 0 00000000a80425fb 00000000a80425fb 1 who 1 / yes /root"},
	} {
		t.Run(row.what, func(t *testing.T) {
			_, said := n.ended(n.start(pod, strings.ReplaceAll(row.what, " ", "-"), who, asked(row.security)))
			if got := strings.Join(strings.Fields(said), " "); got != row.want {
				t.Fatalf("\ngot  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestWhatAContainerMayWrite(t *testing.T) {
	n := startNode(t)
	pod := n.pod("writes")
	volume, secret := t.TempDir(), t.TempDir()
	n.check(os.Chmod(volume, 0o777))
	n.check(os.WriteFile(filepath.Join(secret, "key"), []byte("value"), 0o644))
	n.check(os.Chmod(secret, 0o755))
	mounts := []*cri.Mount{
		{HostPath: volume, ContainerPath: "/data"}, {HostPath: secret, ContainerPath: "/var/run/secrets/x", Readonly: true},
		{HostPath: filepath.Join(secret, "key"), ContainerPath: "/etc/app/key", Readonly: true},
	}
	const try = `for d in / /usr /etc /tmp /home /data /dev/shm /var/run/secrets/x; do touch $d/file 2>/dev/null && echo $d; done
cat /var/run/secrets/x/key /etc/app/key; id -un 2>/dev/null; getent hosts localhost | cut -c1-3`
	_, said := n.ended(n.start(pod, "open", try, func(c *cri.ContainerConfig) { c.Mounts = mounts }))
	if got := strings.Fields(said); strings.Join(got, " ") != "/tmp /data /dev/shm valuevalue65532 ::1" &&
		strings.Join(got, " ") != "/tmp /data /dev/shm valuevalue65532 127" {
		t.Errorf("said %q", said)
	}
	_, said = n.ended(n.start(pod, "closed", try, func(c *cri.ContainerConfig) {
		c.Mounts, c.Linux.SecurityContext.ReadonlyRootfs = mounts, true
	}))
	if got := strings.Fields(said); strings.Join(got[:2], " ") != "/data /dev/shm" {
		t.Errorf("read-only: said %q", said)
	}
	if _, err := os.Stat(filepath.Join(volume, "file")); err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	n := startNode(t)
	pod := n.pod("stops")
	polite := n.start(pod, "polite", `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done`)
	deaf := n.start(pod, "deaf", `trap '' TERM; echo up; sleep 1000`)
	n.says(polite, "up")
	n.says(deaf, "up")
	stop(t.Context(), n, polite, 10)
	if got, said := n.ended(polite); got.GetExitCode() != 3 || !strings.Contains(said, "bye") {
		t.Errorf("polite: exit %d, said %q", got.GetExitCode(), said)
	}
	began := time.Now()
	stop(t.Context(), n, deaf, 1)
	if got, _ := n.ended(deaf); got.GetExitCode() != 137 || time.Since(began) < time.Second {
		t.Errorf("deaf: exit %d after %s", got.GetExitCode(), time.Since(began))
	}
	stop(t.Context(), n, deaf, 1) // again: no error
	stop(t.Context(), n, "absent", 1)
}

func TestExec(t *testing.T) {
	n := startNode(t)
	id := n.start(n.pod("exec"), "main", "echo up; sleep 1000", func(c *cri.ContainerConfig) {
		c.Envs = []*cri.KeyValue{{Key: "SET", Value: "by the pod"}}
	})
	n.says(id, "up")
	if said, code := n.run(id, "sh", "-c", "echo $SET; id -u; cat /proc/1/comm; hostname; exit 4"); code != 4 ||
		said != "by the pod\n65532\nsleep\nexec\n" && said != "by the pod\n65532\nsh\nexec\n" {
		t.Errorf("exit %d, said %q", code, said)
	}
	if _, code := n.run(id, "sh", "-c", "kill -9 $$"); code != 137 {
		t.Errorf("exit %d", code)
	}
	if _, err := n.ExecSync(t.Context(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"absent"}}); err == nil ||
		!strings.Contains(err.Error(), "executable file not found") {
		t.Errorf("error: %v", err)
	}
	slow := &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"sleep", "4321"}, Timeout: 1}
	if _, err := n.ExecSync(t.Context(), slow); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("error: %v", err)
	}
	n.until("the end of what took too long", func() bool {
		said, _ := n.run(id, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep [4]321'")
		return strings.TrimSpace(said) == "0"
	})
}

func TestReopenLog(t *testing.T) {
	n := startNode(t)
	id := n.start(n.pod("log"), "main", "echo before; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo after")
	n.says(id, "before")
	path := n.status(id).GetLogPath()
	n.check(os.Rename(path, path+".1"))
	_, err := n.ReopenContainerLog(t.Context(), &cri.ReopenContainerLogRequest{ContainerId: id})
	n.check(err)
	n.until("the new log", func() bool { _, err := os.Stat(path); return err == nil })
	n.run(id, "touch", "/tmp/go")
	if _, said := n.ended(id); said != "after\n" {
		t.Fatalf("said %q", said)
	}
}
