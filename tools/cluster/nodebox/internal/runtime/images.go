package runtime

import (
	"context"
	"time"

	"bramble.dev/nodebox/internal/images"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ListImages implements the CRI.
func (s *Service) ListImages(_ context.Context, request *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	response := &cri.ListImagesResponse{}
	if name := request.GetFilter().GetImage().GetImage(); name != "" {
		if image, err := s.images.Find(name); err == nil {
			response.Images = append(response.Images, describe(image))
		}
		return response, nil
	}
	for _, image := range s.images.All() {
		response.Images = append(response.Images, describe(image))
	}
	return response, nil
}

// ImageStatus implements the CRI: an unknown image is an empty answer.
func (s *Service) ImageStatus(_ context.Context, request *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	image, err := s.images.Find(request.GetImage().GetImage())
	if err != nil {
		return &cri.ImageStatusResponse{}, nil
	}
	return &cri.ImageStatusResponse{Image: describe(image)}, nil
}

// PullImage has nothing to fetch; it answers as a registry would, that has the images of the table.
func (s *Service) PullImage(_ context.Context, request *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	name := request.GetImage().GetImage()
	image, err := s.images.Find(name)
	if err != nil {
		return nil, notFound("failed to pull image %q: %v", name, err)
	}
	return &cri.PullImageResponse{ImageRef: image.ID()}, nil
}

// RemoveImage has nothing to remove: the table says what is there.
func (s *Service) RemoveImage(context.Context, *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	return &cri.RemoveImageResponse{}, nil
}

// ImageFsInfo describes the file system of the containers' folders.
func (s *Service) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(s.config.State, &disk); err != nil {
		return nil, failed("%s: %v", s.config.State, err)
	}
	usage := []*cri.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &cri.FilesystemIdentifier{Mountpoint: s.config.State},
		UsedBytes:  &cri.UInt64Value{Value: (disk.Blocks - disk.Bfree) * uint64(disk.Bsize)},
		InodesUsed: &cri.UInt64Value{Value: disk.Files - disk.Ffree},
	}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}

func describe(image images.Image) *cri.Image {
	return &cri.Image{
		Id: image.ID(), RepoTags: []string{image.TagReference()}, RepoDigests: []string{image.ID()}, Size: image.Bytes,
		Uid: &cri.Int64Value{Value: image.User}, Spec: &cri.ImageSpec{Image: image.ID()}, Pinned: true,
	}
}
