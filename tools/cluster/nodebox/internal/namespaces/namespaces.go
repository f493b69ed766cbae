// Package namespaces lets one function run inside the namespaces of another process.
package namespaces

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Paths are those of a process's namespaces of the given kinds, as in /proc/PID/ns.
func Paths(pid int, kinds ...string) []string {
	paths := make([]string, len(kinds))
	for i, kind := range kinds {
		paths[i] = fmt.Sprintf("/proc/%d/ns/%s", pid, kind)
	}
	return paths
}

// Enter moves the calling thread into namespaces. The caller has locked its goroutine to the thread, and never unlocks it.
func Enter(paths []string) error {
	for _, path := range paths {
		namespace, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.Setns(int(namespace.Fd()), 0)
		namespace.Close()
		if err != nil {
			return fmt.Errorf("setns %s: %w", path, err)
		}
	}
	return nil
}

// Do calls a function on a thread inside the namespaces; the thread ends with it.
func Do(paths []string, function func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not serve other goroutines afterwards
		err := Enter(paths)
		if err == nil {
			err = function()
		}
		done <- err
	}()
	return <-done
}
