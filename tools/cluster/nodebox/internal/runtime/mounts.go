package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bramble.dev/nodebox/internal/images"
	"bramble.dev/nodebox/internal/rootfs"
	"bramble.dev/nodebox/internal/spec"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const hostResolver = "/etc/resolv.conf"

// hostPaths maps folders that pods mount by hostPath to folders of this node: all nodes share one machine. The table is a JSON file
// {"/prefix": "/folder"} that is read again when it changes.
type hostPaths struct {
	path string

	mutex sync.Mutex
	mtime time.Time
	table map[string]string
}

// find gives the node's own folder for a path; the longest prefix wins, and other paths stay as they are.
func (h *hostPaths) find(path string) (string, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if err := h.refresh(); err != nil {
		return "", err
	}
	path = filepath.Clean(path)
	longest := ""
	for prefix := range h.table {
		if len(prefix) > len(longest) && (path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")) {
			longest = prefix
		}
	}
	if longest == "" {
		return path, nil
	}
	return filepath.Join(h.table[longest], strings.TrimPrefix(path, longest)), nil
}

func (h *hostPaths) refresh() error {
	status, err := os.Stat(h.path)
	if errors.Is(err, os.ErrNotExist) {
		h.table, h.mtime = nil, time.Time{}
		return nil
	}
	if err != nil || status.ModTime().Equal(h.mtime) {
		return err
	}
	table := map[string]string{}
	if err := spec.Read(h.path, &table); err != nil {
		return err
	}
	h.table, h.mtime = table, status.ModTime()
	return nil
}

// mounts are those of the image, then the kubelet's.
func (s *Service) mounts(config *cri.ContainerConfig, image images.Image) ([]rootfs.Mount, error) {
	var mounts []rootfs.Mount
	for _, mount := range image.Mounts {
		mounts = append(mounts, rootfs.Mount{Source: mount.Source, Target: mount.Target, ReadOnly: true, OfImage: true})
	}
	privileged := config.GetLinux().GetSecurityContext().GetPrivileged()
	for _, mount := range config.GetMounts() {
		if mount.GetImage().GetImage() != "" {
			return nil, invalid("mount %s: image volumes are not there in the local cluster", mount.GetContainerPath())
		}
		source, err := s.paths.find(mount.GetHostPath())
		if err != nil {
			return nil, failed("mount %s: %v", mount.GetContainerPath(), err)
		}
		if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) {
			err = os.MkdirAll(source, 0o755) // a hostPath without a type, which container engines make too
			if err != nil {
				return nil, failed("mount %s: %v", mount.GetContainerPath(), err)
			}
		}
		mounts = append(mounts, rootfs.Mount{
			Source: source, Target: mount.GetContainerPath(), ReadOnly: mount.GetReadonly(),
			Devices: privileged || source == "/dev" || strings.HasPrefix(source, "/dev/"),
		})
	}
	return mounts, nil
}

// resolver is the content of a pod's /etc/resolv.conf: the kubelet's words, or the machine's own file for `dnsPolicy: Default`.
func resolver(config *cri.DNSConfig) string {
	if config == nil {
		content, err := os.ReadFile(hostResolver)
		if err != nil {
			return ""
		}
		return string(content)
	}
	var lines strings.Builder
	if searches := config.GetSearches(); len(searches) > 0 {
		lines.WriteString("search " + strings.Join(searches, " ") + "\n")
	}
	for _, server := range config.GetServers() {
		lines.WriteString("nameserver " + server + "\n")
	}
	if options := config.GetOptions(); len(options) > 0 {
		lines.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return lines.String()
}
