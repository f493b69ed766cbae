package runtime

import (
	"slices"
	"testing"

	"bramble.dev/nodebox/internal/images"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The table of https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
func TestArguments(t *testing.T) {
	image := images.Image{Entrypoint: []string{"/ep"}, Cmd: []string{"foo"}}
	for _, row := range []struct {
		what          string
		command, args []string
		want          []string
	}{
		{"neither", nil, nil, []string{"/ep", "foo"}},
		{"a command drops the image's cmd", []string{"/c"}, nil, []string{"/c"}},
		{"args replace the image's cmd", nil, []string{"zoo"}, []string{"/ep", "zoo"}},
		{"both", []string{"/c"}, []string{"zoo"}, []string{"/c", "zoo"}},
	} {
		t.Run(row.what, func(t *testing.T) {
			if got := arguments(&cri.ContainerConfig{Command: row.command, Args: row.args}, image); !slices.Equal(got, row.want) {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	for _, row := range []struct {
		what      string
		add, drop []string
		has, lost uintptr
		count     int
	}{
		{"nothing asked: the engines' default", nil, nil, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_ADMIN, len(defaultCapabilities)},
		{"all dropped", nil, []string{"ALL"}, 99, unix.CAP_CHOWN, 0},
		{"all dropped, one added", []string{"NET_ADMIN"}, []string{"ALL"}, unix.CAP_NET_ADMIN, unix.CAP_CHOWN, 1},
		{"all added, one dropped", []string{"ALL"}, []string{"CAP_SYS_ADMIN"}, unix.CAP_BPF, unix.CAP_SYS_ADMIN, len(capabilityNumbers) - 1},
	} {
		t.Run(row.what, func(t *testing.T) {
			asked := &cri.Capability{AddCapabilities: row.add, DropCapabilities: row.drop}
			got, err := capabilities(&cri.LinuxContainerSecurityContext{Capabilities: asked})
			if err != nil || len(got) != row.count || slices.Contains(got, row.lost) || row.count > 0 && !slices.Contains(got, row.has) {
				t.Fatalf("error %v, got %v", err, got)
			}
		})
	}
	unknown := &cri.Capability{AddCapabilities: []string{"FLY"}}
	if _, err := capabilities(&cri.LinuxContainerSecurityContext{Capabilities: unknown}); err == nil {
		t.Fatal("an unknown capability was accepted")
	}
}

func TestUserAndGroup(t *testing.T) {
	image := images.Image{User: 65532}
	number := func(value int64) *cri.Int64Value { return &cri.Int64Value{Value: value} }
	for _, row := range []struct {
		what     string
		security *cri.LinuxContainerSecurityContext
		uid, gid int64
	}{
		{"the image's user has its own group", nil, 65532, 65532},
		{"runAsUser alone is in group 0", &cri.LinuxContainerSecurityContext{RunAsUser: number(1000)}, 1000, 0},
		{"both given", &cri.LinuxContainerSecurityContext{RunAsUser: number(1000), RunAsGroup: number(7)}, 1000, 7},
		{"root by name", &cri.LinuxContainerSecurityContext{RunAsUsername: "root"}, 0, 0},
	} {
		t.Run(row.what, func(t *testing.T) {
			uid, err := user(row.security, image)
			if err != nil || uid != row.uid || group(row.security, uid, image) != row.gid {
				t.Fatalf("error %v, uid %d, gid %d", err, uid, group(row.security, uid, image))
			}
		})
	}
}
