"""Where the progress of a training goes: one file for each tracker, listed in `catalogue`. docs/rooms.md says how to add one."""
