// Cri-shim is the small program beside each container and, for a moment, inside it.
package main

import (
	"fmt"
	"os"
	"runtime"

	"bramble.dev/nodebox/internal/launch"
	"bramble.dev/nodebox/internal/shim"
)

// The main goroutine stays on the main thread: namespaces, credentials and the parent death signal belong to a thread.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "launch":
			launch.Main(os.Args[2:])
		case "run":
			shim.Main(os.Args[2:])
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: cri-shim run FOLDER | launch SPEC REPORT")
	os.Exit(64)
}
