package images

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	other  = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	table  = `{"images": [{"reference": "bramble.local/operator", "tag": "dev", "digest": "` + digest + `", "user": 65532},
		{"reference": "busybox", "tag": "latest", "digest": "` + other + `"}]}`
)

func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "images.json")
	if err := os.WriteFile(path, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		what, name, digest string
	}{
		{"by tag", "bramble.local/operator:dev", digest},
		{"by digest", "bramble.local/operator@" + digest, digest},
		{"by both, the digest decides", "bramble.local/operator:old@" + digest, digest},
		{"another tag", "bramble.local/operator:v2", ""},
		{"another digest under a tag that is there", "bramble.local/operator:dev@" + other, ""},
		{"no tag means latest, which there is none of", "bramble.local/operator", ""},
		{"no tag means latest", "busybox", other},
		{"the name that the kubelet completes", "docker.io/library/busybox:latest", other},
		{"a port is no tag", "localhost:5000/operator", ""},
	} {
		t.Run(row.what, func(t *testing.T) {
			image, err := NewTable(path).Find(row.name)
			if row.digest == "" {
				if !errors.Is(err, ErrNotFound) {
					t.Fatalf("error %v, image %v", err, image)
				}
				return
			}
			if err != nil || image.Digest != row.digest {
				t.Fatalf("error %v, image %v", err, image)
			}
		})
	}
}

func TestTableIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "images.json")
	images := NewTable(path)
	if found := images.All(); len(found) != 0 {
		t.Fatalf("a table that is not there has %v", found)
	}
	write := func(content string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(table, time.Unix(1000, 0))
	if found := images.All(); len(found) != 2 {
		t.Fatalf("found %v", found)
	}
	write(`{"images": [`, time.Unix(2000, 0))
	if found := images.All(); len(found) != 2 {
		t.Fatalf("half a table replaced a whole one: %v", found)
	}
	write(`{"images": []}`, time.Unix(3000, 0))
	if found := images.All(); len(found) != 0 {
		t.Fatalf("found %v", found)
	}
}
