package shim

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestLogEntries(t *testing.T) {
	long := strings.Repeat("x", lineBytes)
	for _, row := range []struct {
		what, text string
		want       []string
	}{
		{"lines", "one\ntwo\n", []string{"F one", "F two"}},
		{"an empty line", "\n", []string{"F "}},
		{"the end without a line break", "one", []string{"F one"}},
		{"nothing", "", nil},
		{"a line longer than an entry", long + "y\n", []string{"P " + long, "F y"}},
	} {
		t.Run(row.what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "folder", "0.log")
			l, err := openLog(path)
			if err != nil {
				t.Fatal(err)
			}
			l.copy("stdout", strings.NewReader(row.text))
			if err := l.close(); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, path); strings.Join(got, "\n") != strings.Join(row.want, "\n") {
				t.Fatalf("got %q", got)
			}
		})
	}
}

var entry = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) stdout ([FP] .*)$`)

func entries(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		match := entry.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			t.Fatalf("no entry of the CRI: %q", line)
		}
		found = append(found, match[1])
	}
	return found
}

func TestReopenWritesToANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	l.copy("stdout", strings.NewReader("before\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.reopen()
	l.copy("stdout", strings.NewReader("after\n"))
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if before, after := entries(t, path+".1"), entries(t, path); len(before) != 1 || len(after) != 1 || after[0] != "F after" {
		t.Fatalf("before %q, after %q", before, after)
	}
}
