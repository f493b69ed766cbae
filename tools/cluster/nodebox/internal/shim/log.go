package shim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// lineBytes is the longest piece of a line in one entry; longer lines are split and tagged as partial, as containerd does.
	lineBytes = 16 << 10
	// stamp is RFC 3339 with nanoseconds of fixed width, which the kubelet parses.
	stamp = "2006-01-02T15:04:05.000000000Z07:00"
	full  = "F"
	part  = "P"
)

// ReopenSignal makes a shim write to a new file under the name of its log: the kubelet has moved the old one away.
const ReopenSignal = syscall.SIGUSR1

// log writes entries of the CRI: `TIME STREAM TAG LINE`.
// https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
type log struct {
	path string

	mutex sync.Mutex
	file  *os.File
	err   error
}

// openLog opens or makes the log; without a path, what the container says is dropped.
func openLog(path string) (*log, error) {
	l := &log{path: path}
	if path == "" {
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return l, l.open()
}

func (l *log) open() (err error) {
	l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	return err
}

func (l *log) reopenOnSignal() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, ReopenSignal)
	go func() {
		for range asked {
			l.reopen()
		}
	}()
}

func (l *log) reopen() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.file == nil {
		return
	}
	l.err = errors.Join(l.err, l.file.Close(), l.open())
}

// copy writes a stream line by line until its end. A log that cannot be written must not stop the container: the stream is read
// on, and the first error is given by close.
func (l *log) copy(stream string, from io.Reader) {
	reader := bufio.NewReaderSize(from, lineBytes)
	for {
		piece, err := reader.ReadSlice('\n')
		switch {
		case err == nil:
			l.entry(stream, full, piece[:len(piece)-1])
		case errors.Is(err, bufio.ErrBufferFull):
			l.entry(stream, part, piece)
		default:
			if len(piece) > 0 {
				l.entry(stream, full, piece)
			}
			if !errors.Is(err, io.EOF) {
				l.fail(err)
			}
			return
		}
	}
}

func (l *log) entry(stream, tag string, line []byte) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.file == nil {
		return
	}
	entry := fmt.Appendf(make([]byte, 0, len(line)+len(stamp)+len(stream)+8), "%s %s %s ", time.Now().Format(stamp), stream, tag)
	entry = append(append(entry, line...), '\n')
	if _, err := l.file.Write(entry); err != nil && l.err == nil {
		l.err = err
	}
}

func (l *log) fail(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.err = errors.Join(l.err, err)
}

func (l *log) close() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.file == nil {
		return l.err
	}
	err := errors.Join(l.err, l.file.Close())
	l.file = nil
	return err
}
