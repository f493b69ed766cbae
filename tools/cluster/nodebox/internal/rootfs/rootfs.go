// Package rootfs makes the root of a container: a folder of its own for what may be written, the host's /usr below it read-only, and
// the mounts of the image and of the kubelet. Bubblewrap does the mounting, in the container's mount namespace; here only the
// folder is prepared and the arguments are put together.
package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mount is a folder or file of the host inside the container.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
	// Devices keeps device files below it usable.
	Devices bool
	// OfImage marks content that containers share: nothing is ever made in its source.
	OfImage bool
}

// Root is what the root of one container holds.
type Root struct {
	Hostname string
	// Resolver is the content of /etc/resolv.conf.
	Resolver string
	UID, GID int
	Mounts   []Mount
	// ReadOnly makes everything read-only but the mounts that are not, /proc and /dev.
	ReadOnly bool
}

const (
	sharedMemory      = "/dev/shm"
	sharedMemoryBytes = 64 << 20 // as container engines have it; a memory-backed emptyDir at /dev/shm replaces it

	folderMode = 0o755
	openMode   = os.ModeSticky | 0o777
)

// systemLinks are folders that a merged /usr replaces by links; where the host still has a folder it is mounted.
var systemLinks = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// systemMounts are parts of the host that programs of /usr look for: certificates, the names behind links in /usr/bin, processors
// and temperatures. They are left out where the host has none.
var systemMounts = []string{"/usr", "/etc/ssl", "/etc/alternatives", "/sys/devices", "/sys/class"}

// Build prepares the folder and gives the arguments of bwrap that turn it into a container's root.
func Build(folder string, root Root) ([]string, error) {
	mounts := []Mount{{Source: folder, Target: "/"}}
	for _, path := range systemMounts {
		if _, err := os.Stat(path); err == nil {
			mounts = append(mounts, Mount{Source: path, Target: path, ReadOnly: true, OfImage: true})
		}
	}
	links, err := makeFolders(folder)
	if err != nil {
		return nil, err
	}
	mounts = append(mounts, links...)
	if err := writeFiles(filepath.Join(folder, "etc"), root); err != nil {
		return nil, err
	}
	asked := sorted(root.Mounts)
	arguments := []string{}
	for _, mount := range mounts {
		if err := makeMountpoint(mounts[:1], mount); err != nil {
			return nil, err
		}
		arguments = append(arguments, mount.arguments()...)
	}
	arguments = append(arguments, "--proc", "/proc", "--dev", "/dev")
	if !slices.ContainsFunc(asked, func(mount Mount) bool { return mount.Target == sharedMemory }) {
		arguments = append(arguments, "--perms", "1777", "--size", strconv.Itoa(sharedMemoryBytes), "--tmpfs", sharedMemory)
	}
	for _, mount := range asked {
		if err := makeMountpoint(mounts, mount); err != nil {
			return nil, err
		}
		mounts = append(mounts, mount)
		arguments = append(arguments, mount.arguments()...)
	}
	if root.ReadOnly {
		arguments = append(arguments, "--remount-ro", "/")
	}
	return arguments, nil
}

func (m Mount) arguments() []string {
	switch {
	case m.ReadOnly:
		return []string{"--ro-bind", m.Source, m.Target}
	case m.Devices:
		return []string{"--dev-bind", m.Source, m.Target}
	default:
		return []string{"--bind", m.Source, m.Target}
	}
}

// sorted puts outer mounts before those inside them. /var/run is a link to /run.
func sorted(mounts []Mount) []Mount {
	result := slices.Clone(mounts)
	for i := range result {
		target := filepath.Clean("/" + result[i].Target)
		if rest, ok := strings.CutPrefix(target, "/var/run/"); ok {
			target = "/run/" + rest
		}
		result[i].Target = target
	}
	slices.SortStableFunc(result, func(a, b Mount) int {
		return strings.Count(a.Target, "/") - strings.Count(b.Target, "/")
	})
	return result
}

// makeFolders makes the folders of a root, and gives the mounts for those that the host does not link into /usr.
func makeFolders(folder string) ([]Mount, error) {
	for name, mode := range map[string]os.FileMode{
		".": folderMode, "dev": folderMode, "etc": folderMode, "home": folderMode, "mnt": folderMode, "opt": folderMode,
		// Passable: an interpreter of an image may lie below it, in the home folder of who built the image.
		"proc": 0o555, "root": 0o711, "run": folderMode, "srv": folderMode, "sys": 0o555, "tmp": openMode, "var": folderMode,
		"var/cache": folderMode, "var/lib": folderMode, "var/log": folderMode, "var/tmp": openMode,
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(path, folderMode); err != nil {
			return nil, err
		}
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink("../run", filepath.Join(folder, "var/run")); err != nil {
		return nil, err
	}
	var mounts []Mount
	for _, name := range systemLinks {
		path := "/" + name
		if target, err := os.Readlink(path); err == nil {
			if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
				return nil, err
			}
		} else if _, err := os.Stat(path); err == nil {
			mounts = append(mounts, Mount{Source: path, Target: path, ReadOnly: true, OfImage: true})
		}
	}
	return mounts, nil
}

// makeMountpoint makes what a mount is put on: in the root's folder, or in the source of the mount around it.
func makeMountpoint(around []Mount, mount Mount) error {
	if mount.Target == "/" || under(mount.Target, "/dev") || under(mount.Target, "/proc") {
		return nil
	}
	outer := around[0]
	for _, candidate := range around {
		if under(mount.Target, candidate.Target) && len(candidate.Target) >= len(outer.Target) {
			outer = candidate
		}
	}
	inside, err := os.OpenRoot(outer.Source) // a container may have left links in a volume: nothing is made outside it
	if err != nil {
		return err
	}
	defer inside.Close()
	point := strings.TrimPrefix(strings.TrimPrefix(mount.Target, outer.Target), "/")
	if _, err := inside.Lstat(point); err == nil {
		return nil
	}
	if outer.OfImage {
		return fmt.Errorf("mount point %s does not exist in %s, which is shared by all containers of the image", mount.Target, outer.Target)
	}
	status, err := os.Stat(mount.Source)
	if err != nil {
		return fmt.Errorf("source of the mount at %s: %w", mount.Target, err)
	}
	if status.IsDir() {
		return inside.MkdirAll(point, folderMode)
	}
	if err := inside.MkdirAll(filepath.Dir(point), folderMode); err != nil {
		return err
	}
	return inside.WriteFile(point, nil, 0o644)
}

func under(path, folder string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}
