"""Dataset: pictures, checked, split and frozen by a snapshot Job; each version is named by the digest of its manifest."""
