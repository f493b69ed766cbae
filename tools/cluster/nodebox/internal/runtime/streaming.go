package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"bramble.dev/nodebox/internal/namespaces"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

var errNoAttach = status.Error(codes.Unimplemented, "attach is not there in the local cluster: use `kubectl exec` or `kubectl logs --follow`")

// Exec gives the address of a stream.
func (s *Service) Exec(_ context.Context, request *cri.ExecRequest) (*cri.ExecResponse, error) {
	if _, err := s.running(request.GetContainerId()); err != nil {
		return nil, err
	}
	return s.stream.GetExec(request)
}

// Attach is refused: a container's streams go to its log only.
func (s *Service) Attach(context.Context, *cri.AttachRequest) (*cri.AttachResponse, error) {
	return nil, errNoAttach
}

// PortForward gives the address of a stream.
func (s *Service) PortForward(_ context.Context, request *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	if _, err := s.readySandbox(request.GetPodSandboxId()); err != nil {
		return nil, err
	}
	return s.stream.GetPortForward(request)
}

// streamer serves the streams.
type streamer struct{ *Service }

// Exec runs a command with a client's streams.
func (s streamer) Exec(
	ctx context.Context, id string, arguments []string, in io.Reader, out, err io.WriteCloser, tty bool,
	resize <-chan remotecommand.TerminalSize,
) error {
	c, problem := s.running(id)
	if problem != nil {
		return problem
	}
	command, problem := s.inside(ctx, c, arguments, tty)
	if problem != nil {
		return problem
	}
	var finish func()
	if tty {
		finish, problem = onTerminal(command, c, in, out, resize)
	} else {
		finish, problem = onPipes(command, in, out, err)
	}
	if problem != nil {
		return problem
	}
	if problem := command.start(); problem != nil {
		finish()
		return fmt.Errorf("exec failed: unable to start container process: %w", problem)
	}
	code, problem := command.wait()
	finish()
	if problem != nil {
		return problem
	}
	if code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// onPipes joins the client's streams to the command's. Input is not waited for: a client may hold it open after the command ended.
func onPipes(command *inside, in io.Reader, out, err io.WriteCloser) (func(), error) {
	if out != nil {
		command.command.Stdout = out
	}
	if err != nil {
		command.command.Stderr = err
	}
	if in == nil {
		return func() {}, nil
	}
	theirs, ours, problem := os.Pipe()
	if problem != nil {
		return nil, problem
	}
	command.command.Stdin = theirs
	command.theirs = append(command.theirs, theirs)
	go func() {
		defer ours.Close()
		if _, err := io.Copy(ours, in); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, os.ErrClosed) {
			slog.Debug("input of an exec", "error", err)
		}
	}()
	return func() { ours.Close() }, nil
}

// onTerminal gives the command a terminal of the container's own.
func onTerminal(
	command *inside, c *container, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize,
) (func(), error) {
	master, slave, err := openTerminal(c.started.PID, c.Process.UID)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	command.command.Stdin, command.command.Stdout, command.command.Stderr = slave, slave, slave
	command.theirs = append(command.theirs, slave)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		// EIO is how Linux says that the last holder of the other side has closed it.
		if _, err := io.Copy(out, master); err != nil && !errors.Is(err, unix.EIO) {
			slog.Debug("output of a terminal", "error", err)
		}
	}()
	if in != nil {
		go func() {
			if _, err := io.Copy(master, in); err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, os.ErrClosed) {
				slog.Debug("input of a terminal", "error", err)
			}
		}()
	}
	go func() {
		for size := range resize {
			window := &unix.Winsize{Row: size.Height, Col: size.Width}
			if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, window); err != nil {
				slog.Debug("size of a terminal", "error", err)
			}
		}
	}()
	return func() {
		<-drained
		master.Close()
	}, nil
}

// Attach is never reached: the request is refused before.
func (s streamer) Attach(
	context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize,
) error {
	return errNoAttach
}

// PortForward joins a stream to a port on the pod's loopback.
func (s streamer) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	pod, err := s.readySandbox(id)
	if err != nil {
		return err
	}
	var connection net.Conn
	err = namespaces.Do(namespaces.Paths(pod.Pause, "net"), func() (err error) {
		var dialer net.Dialer // of one address: more would be tried on other threads
		connection, err = dialer.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		return err
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(connection, stream)
		if half, ok := connection.(*net.TCPConn); ok {
			err = errors.Join(err, half.CloseWrite())
		}
		sent <- err
	}()
	if _, err := io.Copy(stream, connection); err != nil {
		return err
	}
	stream.Close()
	<-sent
	return nil
}
