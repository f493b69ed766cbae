"""The Dataset kind: a Job checks, splits and freezes pictures; each version is named by the digest of its manifest."""
