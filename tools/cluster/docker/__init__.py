"""Builds the project's container images with a Docker engine, one of the machine's or one that is started for the build."""
