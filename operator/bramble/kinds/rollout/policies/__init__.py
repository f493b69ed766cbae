"""What a Rollout may need next, one policy in each file. A policy gives a Plan, or None when it has no opinion."""
