package runtime

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper collects children that nobody waits for: their end is seen otherwise, and they must only not remain as zombies. A thread
// waiting for each would be one more per process of the node.
type reaper struct {
	mutex    sync.Mutex
	children map[int]bool
}

func newReaper() *reaper {
	r := &reaper{children: map[int]bool{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go func() {
		for range ended {
			r.collect()
		}
	}()
	return r
}

// leave hands a child over that was just started.
func (r *reaper) leave(process *os.Process) error {
	r.mutex.Lock()
	r.children[process.Pid] = true
	r.mutex.Unlock()
	r.collect() // it may have ended before it was known here
	return process.Release()
}

func (r *reaper) collect() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for pid := range r.children {
		if done, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); done == pid || err == unix.ECHILD {
			delete(r.children, pid)
		}
	}
}
