package runtime

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func invalid(format string, arguments ...any) error {
	return status.Errorf(codes.InvalidArgument, format, arguments...)
}

func notFound(format string, arguments ...any) error {
	return status.Errorf(codes.NotFound, format, arguments...)
}

func failed(format string, arguments ...any) error {
	return status.Errorf(codes.Unknown, format, arguments...)
}

func unmet(format string, arguments ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, arguments...)
}
