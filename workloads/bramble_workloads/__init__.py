"""What runs in Jobs and on devices: snapshot, train, evaluate, convert, validate, benchmark, agent."""
