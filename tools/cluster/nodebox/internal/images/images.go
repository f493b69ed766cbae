// Package images is the node's table of images: a reference stands for folders of the host that make up the image's content.
//
// The table is a JSON file that others write; it is read again when it changes.
package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrNotFound is what a registry says about a reference that it does not have.
var ErrNotFound = errors.New("not found")

const (
	defaultRegistry = "docker.io/library/"
	defaultTag      = "latest"
)

// Image is one entry of the table.
type Image struct {
	// Reference is the repository, without tag and digest.
	Reference string `json:"reference"`
	Tag       string `json:"tag"`
	// Digest is `sha256:` and 64 hex digits.
	Digest     string            `json:"digest"`
	Mounts     []Mount           `json:"mounts"`
	Env        map[string]string `json:"env"`
	User       int64             `json:"user"`
	Workdir    string            `json:"workdir"`
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	Bytes      uint64            `json:"bytes"`
}

// Mount is a folder or file of the host that a container of the image sees, read-only.
type Mount struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// ID names the image's content: `reference@digest`, which is the imageID in a pod's status.
func (i Image) ID() string { return i.Reference + "@" + i.Digest }

// TagReference is `reference:tag`.
func (i Image) TagReference() string { return i.Reference + ":" + i.Tag }

// Table is the images that this node can run.
type Table struct {
	path string

	mutex  sync.Mutex
	size   int64
	mtime  time.Time
	images []Image
}

// NewTable reads the table in a file, which may not exist yet.
func NewTable(path string) *Table { return &Table{path: path} }

// All are the images in the order of the file.
func (t *Table) All() []Image {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err := t.refresh(); err != nil {
		slog.Error("the table of images cannot be read; keeping what was known", "path", t.path, "error", err)
	}
	return t.images
}

// Find resolves `reference:tag`, `reference@digest`, `reference:tag@digest` or an image's ID. Errors wrap ErrNotFound.
func (t *Table) Find(name string) (Image, error) {
	reference, tag, digest := split(name)
	for _, image := range t.All() {
		if image.Reference != reference {
			continue
		}
		if digest != "" && digest == image.Digest || digest == "" && tag == image.Tag {
			return image, nil
		}
	}
	return Image{}, fmt.Errorf("failed to resolve reference %q: %s: %w", name, name, ErrNotFound)
}

func (t *Table) refresh() error {
	status, err := os.Stat(t.path)
	if errors.Is(err, os.ErrNotExist) {
		t.images, t.mtime = nil, time.Time{}
		return nil
	}
	if err != nil {
		return err
	}
	if status.ModTime().Equal(t.mtime) && status.Size() == t.size {
		return nil
	}
	content, err := os.ReadFile(t.path)
	if err != nil {
		return err
	}
	var table struct {
		Images []Image `json:"images"`
	}
	if err := json.Unmarshal(content, &table); err != nil {
		return err
	}
	t.images, t.mtime, t.size = table.Images, status.ModTime(), status.Size()
	return nil
}

// split takes a reference apart as the kubelet writes it: a tag stands after a colon behind the last slash.
func split(name string) (reference, tag, digest string) {
	reference, digest, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(reference, ':'); colon > strings.LastIndexByte(reference, '/') {
		reference, tag = reference[:colon], reference[colon+1:]
	}
	if tag == "" && digest == "" {
		tag = defaultTag
	}
	return strings.TrimPrefix(reference, defaultRegistry), tag, digest
}
