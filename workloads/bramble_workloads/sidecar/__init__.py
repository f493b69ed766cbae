"""The container `sidecar` of a training pod. Only this container and the init container have the Secret of the store; only this one has the
token.

It watches the run folder and uploads checkpoints, causes, logs and, on node rank 0, the model. It sends progress, and acknowledges the end,
so that the launcher ends only when everything is uploaded. It may be killed at any time, because its progress is in the store and the run
folder.
"""
