package rootfs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func build(t *testing.T, root Root) (folder string, arguments []string) {
	t.Helper()
	folder = t.TempDir()
	root.UID, root.GID = os.Getuid(), os.Getgid()
	arguments, err := Build(folder, root)
	if err != nil {
		t.Fatal(err)
	}
	return folder, arguments
}

func folderWith(t *testing.T, file string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, file), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestMountsAreInTheOrderOfTheirDepth(t *testing.T) {
	outer, inner, file := t.TempDir(), t.TempDir(), folderWith(t, "one")
	folder, arguments := build(t, Root{Mounts: []Mount{
		{Source: inner, Target: "/data/inner/", ReadOnly: true},
		{Source: outer, Target: "/data"},
		{Source: filepath.Join(file, "one"), Target: "/var/run/secrets/one"},
	}})
	joined := strings.Join(arguments, " ")
	first := strings.Index(joined, "--bind "+outer+" /data")
	second := strings.Index(joined, "--ro-bind "+inner+" /data/inner")
	if first < 0 || second < first {
		t.Fatalf("arguments: %s", joined)
	}
	if !strings.Contains(joined, "/run/secrets/one") || strings.Contains(joined, "/var/run") {
		t.Fatalf("/var/run is a link, which bwrap does not follow: %s", joined)
	}
	for path, mode := range map[string]os.FileMode{
		filepath.Join(folder, "data"): os.ModeDir | 0o755, filepath.Join(outer, "inner"): os.ModeDir | 0o755,
		filepath.Join(folder, "run/secrets"): os.ModeDir | 0o755, filepath.Join(folder, "run/secrets/one"): 0o644,
		filepath.Join(folder, "tmp"): os.ModeDir | os.ModeSticky | 0o777,
	} {
		status, err := os.Lstat(path)
		if err != nil || status.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, err, status, mode)
		}
	}
}

func TestNothingIsMadeInAnImage(t *testing.T) {
	image := folderWith(t, "there")
	root := Root{UID: os.Getuid(), GID: os.Getgid(), Mounts: []Mount{
		{Source: image, Target: "/opt/app", ReadOnly: true, OfImage: true},
		{Source: filepath.Join(image, "there"), Target: "/opt/app/absent"},
	}}
	if _, err := Build(t.TempDir(), root); err == nil || !strings.Contains(err.Error(), "/opt/app/absent does not exist in /opt/app") {
		t.Fatalf("error: %v", err)
	}
	root.Mounts[1].Target = "/opt/app/there"
	if _, err := Build(t.TempDir(), root); err != nil {
		t.Fatal(err)
	}
}

func TestAMountpointIsNeverMadeOutsideItsVolume(t *testing.T) {
	outside, volume := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(volume, "link")); err != nil {
		t.Fatal(err)
	}
	root := Root{UID: os.Getuid(), GID: os.Getgid(), Mounts: []Mount{
		{Source: volume, Target: "/data"}, {Source: t.TempDir(), Target: "/data/link/escape"},
	}}
	if _, err := Build(t.TempDir(), root); err == nil {
		t.Fatal("a link that leads out of the volume was followed")
	}
	if _, err := os.Stat(filepath.Join(outside, "escape")); err == nil {
		t.Fatal("something was made outside the volume")
	}
}

func TestSharedMemoryIsTheKubeletsWhereItHasOne(t *testing.T) {
	_, arguments := build(t, Root{ReadOnly: true})
	if !slices.Contains(arguments, "--tmpfs") || arguments[len(arguments)-2] != "--remount-ro" {
		t.Fatalf("arguments: %v", arguments)
	}
	_, arguments = build(t, Root{Mounts: []Mount{{Source: t.TempDir(), Target: "/dev/shm"}}})
	if slices.Contains(arguments, "--tmpfs") {
		t.Fatalf("arguments: %v", arguments)
	}
}

func TestEtcHasNoEntryForTheUser(t *testing.T) {
	folder := t.TempDir()
	if err := writeFiles(folder, Root{UID: 65532, GID: 7, Hostname: "pod", Resolver: "nameserver 10.0.0.1\n"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"passwd": "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n", "group": "app:x:7:\n", "hostname": "pod\n", "resolv.conf": "nameserver 10.0.0.1\n",
	} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s: %v: %q", name, err, content)
		}
		if name == "passwd" && strings.Contains(string(content), "65532") {
			t.Errorf("an image would have no entry for this user: %q", content)
		}
	}
}
