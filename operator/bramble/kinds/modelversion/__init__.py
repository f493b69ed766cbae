"""ModelVersion: one version of a model in every form it is wanted in, with the evidence for each board."""
