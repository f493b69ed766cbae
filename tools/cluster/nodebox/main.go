// Nodebox is every component of a Kubernetes node and control plane in one binary.
//
// It runs the applet that it is called as (a symbolic link named kubelet runs the kubelet), or the one named by
// its first argument. The components are the real ones: each applet is the main function of that project, so that
// the pages of one file are shared by all the processes of a cluster on one machine.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // time zones of CronJobs
)

func main() {
	if applet := named(filepath.Base(os.Args[0])); applet != nil {
		applet()
		return
	}
	if len(os.Args) > 1 {
		if applet := named(os.Args[1]); applet != nil {
			os.Args = os.Args[1:]
			applet()
			return
		}
	}
	names := make([]string, 0, len(applets))
	for name := range applets {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "usage: nodebox APPLET [ARGUMENTS], or a link to it named as the applet\napplets: %s\n", strings.Join(names, " "))
	os.Exit(64)
}

func named(name string) func() { return applets[name] }
