"""The ModelVersion kind: one version of a model in every variant, with what each board measured of it."""
