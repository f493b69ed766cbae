"""The state of one assignment on the disk: the packages in its slots, its crashes, and the blobs that its packages need."""
