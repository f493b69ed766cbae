// Package launch is the last step into a container: already inside its namespaces and mounts, it takes on the user, groups and
// capabilities of the process, and becomes it.
//
// It runs from a descriptor of its own file, so that nothing of it is to be seen in the container, and says on a pipe that closes
// by itself when the process runs why it could not.
package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"bramble.dev/nodebox/internal/spec"
	"golang.org/x/sys/unix"
)

const (
	// ReachedFlag is written to the report pipe before anything can fail: without it, not even the launcher was started.
	ReachedFlag = "reached\n"
	// DefaultPath is used where neither image nor container sets PATH.
	DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	fileMode        = 0o022
	lastCapability  = "/proc/sys/kernel/cap_last_cap"
	firstDescriptor = 3
)

// Main runs `launch SPEC REPORT` with the numbers of two descriptors: a JSON document with a `process`, and the pipe to report on.
// It is called on the main thread, and only returns by exiting.
func Main(arguments []string) {
	source, err := descriptor(arguments, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(64)
	}
	report, err := descriptor(arguments, 1)
	if err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(64)
	}
	fmt.Fprint(report, ReachedFlag)
	err = run(source)
	fmt.Fprint(report, err)
	os.Exit(128)
}

func descriptor(arguments []string, index int) (*os.File, error) {
	if len(arguments) <= index {
		return nil, errors.New("usage: launch SPEC REPORT (descriptors)")
	}
	number, err := strconv.ParseUint(arguments[index], 10, 16)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(number), arguments[index]), nil
}

// run becomes the process, or says why it cannot.
func run(source *os.File) error {
	var container struct {
		Process spec.Process `json:"process"`
	}
	if err := json.NewDecoder(source).Decode(&container); err != nil {
		return fmt.Errorf("reading the process: %w", err)
	}
	process := container.Process
	if err := prepare(process); err != nil {
		return err
	}
	if err := becomeUser(process); err != nil {
		return err
	}
	if err := os.Chdir(process.Dir); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	program, err := find(process.Args[0], process.Env)
	if err != nil {
		return err
	}
	if err := unix.CloseRange(firstDescriptor, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	return fmt.Errorf("exec: %q: %w", program, syscall.Exec(program, process.Args, process.Env))
}

// prepare does what needs root's rights.
func prepare(process spec.Process) error {
	syscall.Umask(fileMode)
	if process.OOMScoreAdjust != nil {
		err := os.WriteFile("/proc/self/oom_score_adj", strconv.AppendInt(nil, *process.OOMScoreAdjust, 10), 0)
		if err != nil && !errors.Is(err, fs.ErrPermission) { // only the machine's root may lower it, as for QoS Guaranteed: it stays as it is
			return err
		}
	}
	if process.Terminal {
		if err := controlTerminal(); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
	}
	if err := os.MkdirAll(process.Dir, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

func controlTerminal() error {
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) { // EPERM: this process leads a session already
		return err
	}
	return unix.IoctlSetInt(0, unix.TIOCSCTTY, 0)
}

// becomeUser drops what the process must not have. The C library's calls change all threads; these change the one that becomes it.
func becomeUser(process spec.Process) error {
	if err := boundCapabilities(process.Capabilities); err != nil {
		return err
	}
	if err := setGroups(process.Groups); err != nil {
		return fmt.Errorf("setgroups %v: %w", process.Groups, err)
	}
	gid, uid := uintptr(process.GID), uintptr(process.UID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return fmt.Errorf("setresgid %d: %w", gid, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return fmt.Errorf("setresuid %d: %w", uid, errno)
	}
	if err := holdCapabilities(process); err != nil {
		return err
	}
	// Bubblewrap asks for this whatever a pod says (`allowPrivilegeEscalation`); a command executed later is treated alike.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	// A change of user clears it, so it is asked for again: nothing of a container outlives its shim.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("parent death signal: %w", err)
	}
	return nil
}

func setGroups(groups []int) error {
	list := make([]uint32, len(groups))
	for i, group := range groups {
		list[i] = uint32(group)
	}
	var first unsafe.Pointer
	if len(list) > 0 {
		first = unsafe.Pointer(&list[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(list)), uintptr(first), 0); errno != 0 {
		return errno
	}
	return nil
}

func boundCapabilities(wanted []uintptr) error {
	content, err := os.ReadFile(lastCapability)
	if err != nil {
		return err
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 8)
	if err != nil {
		return err
	}
	keep := mask(wanted)
	for capability := uintptr(0); capability <= uintptr(last); capability++ {
		if keep&(1<<capability) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return fmt.Errorf("dropping capability %d: %w", capability, err)
		}
	}
	return nil
}

// holdCapabilities sets permitted and effective ones: user 0 holds the bounded set, everybody else nothing (as runc does).
func holdCapabilities(process spec.Process) error {
	held := uint64(0)
	if process.UID == 0 {
		held = mask(process.Capabilities)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for i := range sets {
		half := uint32(held >> (32 * i))
		sets[i] = unix.CapUserData{Effective: half, Permitted: half}
	}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

func mask(capabilities []uintptr) uint64 {
	var bits uint64
	for _, capability := range capabilities {
		bits |= 1 << capability
	}
	return bits
}

// find looks a command up as a shell would, in the PATH of the environment that the process will have.
func find(command string, environment []string) (string, error) {
	if strings.Contains(command, "/") {
		return command, nil
	}
	path := DefaultPath
	for _, variable := range environment {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	for _, folder := range filepath.SplitList(path) {
		candidate := filepath.Join(folder, command)
		if status, err := os.Stat(candidate); err == nil && status.Mode().IsRegular() && unix.Access(candidate, unix.X_OK) == nil {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", command)
}
