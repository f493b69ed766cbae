"""The container `sidecar` of a training pod: the only container with the Secret and the gateway token.

It watches the run folder, uploads checkpoints, causes, logs and, on node rank 0, the model; pushes progress; and acknowledges the end, so
that the launcher leaves only when everything is safe. It may be killed at any time: what it has done is in the store and the folder.
"""
