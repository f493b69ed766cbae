"""Makes a package of what a training program left: in the sidecar at the end of a training, and in the step `package` without one."""
