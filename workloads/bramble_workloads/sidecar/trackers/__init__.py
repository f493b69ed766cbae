"""The trackers, which send the progress of a training to other systems. Each is a file, and `catalogue` lists them. docs/rooms.md says how
to add one.
"""
