"""The trial of a new package in a child process: `run_trial` starts it, `child` is what runs there."""
