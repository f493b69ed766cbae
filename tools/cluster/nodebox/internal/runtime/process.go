package runtime

import (
	"maps"
	"slices"
	"strconv"

	"bramble.dev/nodebox/internal/images"
	"bramble.dev/nodebox/internal/launch"
	"bramble.dev/nodebox/internal/rootfs"
	"bramble.dev/nodebox/internal/spec"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newProcess puts together what runs: the pod's words before the image's, as a container engine does.
func newProcess(config *cri.ContainerConfig, image images.Image, hostname string) (spec.Process, error) {
	security := config.GetLinux().GetSecurityContext()
	arguments := arguments(config, image)
	if len(arguments) == 0 {
		return spec.Process{}, invalid("no command specified: neither container %s nor image %s has one",
			config.GetMetadata().GetName(), image.TagReference())
	}
	uid, err := user(security, image)
	if err != nil {
		return spec.Process{}, err
	}
	allowed, err := capabilities(security)
	if err != nil {
		return spec.Process{}, err
	}
	process := spec.Process{
		Args: arguments, Env: environment(config, image, uid, hostname), Dir: workingDirectory(config, image), UID: int(uid),
		GID: int(group(security, uid, image)), Capabilities: allowed,
	}
	for _, id := range security.GetSupplementalGroups() {
		process.Groups = append(process.Groups, int(id))
	}
	if resources := config.GetLinux().GetResources(); resources != nil {
		process.OOMScoreAdjust = &resources.OomScoreAdj
	}
	return process, nil
}

// arguments follows Kubernetes' table of command and args: a command given by the pod also drops the image's cmd.
func arguments(config *cri.ContainerConfig, image images.Image) []string {
	entrypoint, rest := config.GetCommand(), config.GetArgs()
	if len(entrypoint) == 0 {
		entrypoint = image.Entrypoint
		if len(rest) == 0 {
			rest = image.Cmd
		}
	}
	return slices.Concat(entrypoint, rest)
}

func workingDirectory(config *cri.ContainerConfig, image images.Image) string {
	for _, folder := range []string{config.GetWorkingDir(), image.Workdir} {
		if folder != "" {
			return folder
		}
	}
	return "/"
}

func environment(config *cri.ContainerConfig, image images.Image, uid int64, hostname string) []string {
	home := rootfs.Home
	if uid == 0 {
		home = "/root"
	}
	values := map[string]string{"PATH": launch.DefaultPath, "HOSTNAME": hostname, "HOME": home}
	maps.Copy(values, image.Env)
	for _, variable := range config.GetEnvs() {
		values[variable.GetKey()] = variable.GetValue()
	}
	lines := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, name+"="+values[name])
	}
	return lines
}

// user is runAsUser, or the image's own.
func user(security *cri.LinuxContainerSecurityContext, image images.Image) (int64, error) {
	if id := security.GetRunAsUser(); id != nil {
		return id.GetValue(), nil
	}
	name := security.GetRunAsUsername()
	switch name {
	case "":
		return image.User, nil
	case "root":
		return 0, nil
	}
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return 0, invalid("no user %q in image %s", name, image.TagReference())
	}
	return id, nil
}

// group is runAsGroup; else the image's user has a group of its own number, and every other user is in group 0, as where an image's
// /etc/passwd does not know it.
func group(security *cri.LinuxContainerSecurityContext, uid int64, image images.Image) int64 {
	if id := security.GetRunAsGroup(); id != nil {
		return id.GetValue()
	}
	if uid == image.User {
		return uid
	}
	return 0
}
