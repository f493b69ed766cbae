// Package spec is what the runtime, the shim of a container and the launcher inside it tell each other, and where in a container's
// folder it stands. It imports the standard library only: a shim is small and starts in a millisecond.
package spec

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Process is a program as it runs inside a container.
type Process struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`

	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups,omitempty"`
	// Capabilities bounds what the process may ever hold, by number; user 0 also starts with them.
	Capabilities []uintptr `json:"capabilities,omitempty"`
	// OOMScoreAdjust is written to /proc/self/oom_score_adj when set.
	OOMScoreAdjust *int64 `json:"oomScoreAdjust,omitempty"`
	// Terminal makes standard input the controlling terminal.
	Terminal bool `json:"terminal,omitempty"`
}

// Container is all that a shim needs to know to run one container.
type Container struct {
	// Bubblewrap holds the arguments of bwrap that make the container's mounts, without the command.
	Bubblewrap []string `json:"bubblewrap"`
	// Namespaces are the paths of namespaces to enter first.
	Namespaces []string `json:"namespaces"`
	// Log is the file that standard output and error go to, in the CRI format; empty discards them.
	Log     string  `json:"log,omitempty"`
	Process Process `json:"process"`
}

// Started says which process a container's first one is, seen from outside.
type Started struct {
	PID int `json:"pid"`
	// Birth is the process's start time in clock ticks since boot: with the PID it names a process for ever.
	Birth uint64 `json:"birth"`
	// Shim is the PID of the shim itself.
	Shim int       `json:"shim"`
	At   time.Time `json:"at"`
}

// Exit says how a container ended.
type Exit struct {
	// Code is the exit code, or 128 and the number of the signal that ended it.
	Code int       `json:"code"`
	At   time.Time `json:"at"`
	// LogProblem says why the log is not complete.
	LogProblem string `json:"logProblem,omitempty"`
}

// Report is what a shim answers, once, on the pipe that it inherits: the container started, or why it could not.
type Report struct {
	Started *Started `json:"started,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Folder is a container's folder.
type Folder string

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

// Spec is the file of the Container.
func (f Folder) Spec() string { return f.path("spec.json") }

// Started is the file of the Started; absent until the command runs.
func (f Folder) Started() string { return f.path("started.json") }

// Exit is the file of the Exit; absent until the container ended and its log is complete.
func (f Folder) Exit() string { return f.path("exit.json") }

// Alive is a named pipe that the shim holds open for writing as long as it lives: its reader sees the end of it.
func (f Folder) Alive() string { return f.path("alive") }

// Root is the folder that becomes the container's root.
func (f Folder) Root() string { return f.path("root") }

// Read loads a JSON file.
func Read(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Write stores a JSON file whole or not at all. Nothing has to survive the machine, so it is not synced.
func Write(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return WriteFile(path, content)
}

// WriteFile stores a file whole or not at all.
func WriteFile(path string, content []byte) error {
	draft := path + ".draft"
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
