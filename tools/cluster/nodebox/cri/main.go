// Cri is the container runtime of one node: it serves the CRI on a socket and runs each container as a sandboxed local process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"

	"bramble.dev/nodebox/internal/runtime"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// messageBytes is the kubelet's own limit.
const messageBytes = 16 << 20

func main() {
	var config runtime.Config
	socket := flag.String("socket", "", "serve the CRI on this Unix `socket`")
	logFile := flag.String("log", "", "append to this `file` (default: standard error)")
	flag.StringVar(&config.State, "state", "", "`folder` of what must outlive this process")
	flag.StringVar(&config.Images, "images", "", "JSON `file` of the images that this node has")
	flag.StringVar(&config.HostPaths, "host-paths", "", "JSON `file` that maps hostPath prefixes to folders of this node")
	flag.StringVar(&config.Node, "node", "", "`name` of the node")
	flag.StringVar(&config.NodeAddress, "node-address", "", "`address` of the node: streams are served there")
	flag.IntVar(&config.StreamPort, "stream-port", 0, "`port` of exec and port-forward streams")
	flag.StringVar(&config.PodCIDR, "pod-cidr", "", "`range` of the addresses of pods")
	flag.Parse()
	if err := run(config, *socket, *logFile); err != nil {
		slog.Error("cri ends", "node", config.Node, "error", err)
		os.Exit(1)
	}
}

func run(config runtime.Config, socket, logFile string) error {
	for name, value := range map[string]string{
		"socket": socket, "state": config.State, "images": config.Images, "node-address": config.NodeAddress, "pod-cidr": config.PodCIDR,
	} {
		if value == "" {
			return fmt.Errorf("--%s is missing", name)
		}
	}
	if err := logTo(logFile, config.Node); err != nil {
		return err
	}
	if err := runtime.Requirements(); err != nil {
		return err
	}
	unix.Umask(0o022)
	service, err := runtime.New(config)
	if err != nil {
		return err
	}
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(messageBytes), grpc.MaxSendMsgSize(messageBytes), grpc.UnaryInterceptor(logErrors),
	)
	cri.RegisterRuntimeServiceServer(server, service)
	cri.RegisterImageServiceServer(server, service)
	ended := make(chan error, 2)
	go func() { ended <- service.ServeStreams() }()
	go func() { ended <- server.Serve(listener) }()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	slog.Info("cri serves", "socket", socket, "pods", config.PodCIDR)
	select {
	case <-ctx.Done():
		server.Stop() // containers go on
		return nil
	case err := <-ended:
		return err
	}
}

// logTo writes to a file that other processes of the node may write to as well.
func logTo(path, node string) error {
	output := os.Stderr
	if path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		output = file
		os.Stderr = file // shims inherit it
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(output, &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", node))
	return nil
}

func listen(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return nil, err
	}
	return net.Listen("unix", socket)
}

func logErrors(ctx context.Context, request any, call *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, request)
	if err != nil && status.Code(err) != codes.NotFound {
		slog.Error("request failed", "method", call.FullMethod, "error", err)
	}
	return answer, err
}
