"""The container `sidecar` of a training pod. Beside the init container it alone has the Secret of the store, and it alone has the token.

It watches the run folder and uploads checkpoints, causes, logs and, on node rank 0, the model. It sends progress, and acknowledges the end,
so that the launcher ends only when everything is uploaded. It may be killed at any time: what it has done is in the store and the run
folder.
"""
