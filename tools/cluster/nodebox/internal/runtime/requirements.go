package runtime

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// programs are those of the host that containers need, with the Debian package of each.
var programs = map[string]string{"bwrap": "bubblewrap", "nsenter": "util-linux", "sleep": "coreutils"}

// Requirements says which programs of the host are missing, and the command that mends it.
func Requirements() error {
	var packages []string
	for program, pack := range programs {
		if _, err := exec.LookPath(program); err != nil {
			packages = append(packages, pack)
		}
	}
	if len(packages) == 0 {
		return nil
	}
	slices.Sort(packages)
	list := strings.Join(packages, " ")
	return fmt.Errorf("missing for containers: %s. As root: apt-get install --yes --no-install-recommends %s", list, list)
}
