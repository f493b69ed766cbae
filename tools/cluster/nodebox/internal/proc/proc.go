// Package proc names processes so that a PID given again to another process is never taken for the first.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Birth is when a process started, in clock ticks since boot (proc_pid_stat(5), field 22). Of one that is gone, and a zombie counts as
// gone, the error is os.ErrProcessDone.
func Birth(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Alive tells whether the process with this PID is still the one born then.
func Alive(pid int, birth uint64) bool {
	now, err := Birth(pid)
	return err == nil && now == birth
}

// Signal sends a signal to the process with this PID if it is still the one born then; a process that is gone is no error.
func Signal(pid int, birth uint64, signal unix.Signal) error {
	descriptor, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pidfd_open of %d: %w", pid, err)
	}
	defer unix.Close(descriptor)
	if !Alive(pid, birth) {
		return nil
	}
	if err := unix.PidfdSendSignal(descriptor, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal %d to %d: %w", signal, pid, err)
	}
	return nil
}

// Usage is what a process has used.
type Usage struct {
	CPUTicks uint64
	RSSPages uint64
}

// TreeUsage adds up a process and all that descend from it. Processes that end meanwhile are left out.
func TreeUsage(pid int) Usage {
	var sum Usage
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		fields, err := stat(queue[0])
		if err != nil {
			continue
		}
		sum.CPUTicks += number(fields[11]) + number(fields[12])
		sum.RSSPages += number(fields[21])
		queue = append(queue, children(queue[0])...)
	}
	return sum
}

// stat gives the fields of /proc/PID/stat from the third (state) on: the second may hold spaces and parentheses.
func stat(pid int) ([]string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) { // ESRCH: it went between the opening and the reading
		return nil, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat: %d fields after the name", pid, len(fields))
	}
	return fields, nil
}

func children(pid int) []int {
	var found []int
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(content)) {
			found = append(found, int(number(field)))
		}
	}
	return found
}

func number(field string) uint64 {
	value, err := strconv.ParseUint(field, 10, 64)
	if err != nil {
		return 0
	}
	return value
}
