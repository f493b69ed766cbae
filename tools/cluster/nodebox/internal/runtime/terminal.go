package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal of the container whose first process is `pid`, so that its name means something there.
func openTerminal(pid, owner int) (master, slave *os.File, err error) {
	folder := fmt.Sprintf("/proc/%d/root/dev/pts", pid)
	master, err = os.OpenFile(folder+"/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	path := fmt.Sprintf("%s/%d", folder, number)
	if slave, err = os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	if err = os.Chown(path, owner, -1); err != nil {
		slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
