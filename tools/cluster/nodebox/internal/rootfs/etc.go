package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	// Home is that of every user but root: no image has an entry for the users that pods run as.
	Home = "/"

	nobody      = 65534
	linkerCache = "ld.so.cache"
	timeZone    = "localtime"
	switches    = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
	hosts       = "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
)

// writeFiles fills /etc: it holds nothing of the host but the linker's cache and the time zone. The user that the pod runs as has no entry,
// as in an image, so that a program that asks for its name fails here as it does in a cluster.
func writeFiles(etc string, root Root) error {
	users := "root:x:0:0:root:/root:/bin/sh\n"
	groups := "root:x:0:\n"
	users += fmt.Sprintf("nobody:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", nobody, nobody)
	ids := []int{nobody, root.GID}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if id != 0 {
			groups += fmt.Sprintf("%s:x:%d:\n", groupName(id), id)
		}
	}
	for name, content := range map[string]string{
		"passwd": users, "group": groups, "hostname": root.Hostname + "\n", "hosts": hosts, "resolv.conf": root.Resolver,
		"nsswitch.conf": switches,
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{linkerCache, timeZone} {
		content, err := os.ReadFile(filepath.Join("/etc", name))
		if err != nil {
			continue // a host without one: the linker searches, and the time zone is UTC
		}
		if err := os.WriteFile(filepath.Join(etc, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func groupName(id int) string {
	if id == nobody {
		return "nogroup"
	}
	return "app"
}
