"""What each step of the way is asked to do and what it gives: one file a step."""
