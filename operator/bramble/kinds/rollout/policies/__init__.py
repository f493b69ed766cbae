"""What a Rollout may need next, one policy a file. Each gives a Plan, or None when it has no opinion."""
