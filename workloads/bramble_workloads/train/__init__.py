"""The built-in training program: one process for each GPU, over any number of nodes. The task's `Objective` defines network, loss and
metrics.

It follows the same contract as a user's own program (`$BRAMBLE_DATA`, `$BRAMBLE_PARAMS`, `$BRAMBLE_CHECKPOINTS`, `$BRAMBLE_PROGRESS`,
`$BRAMBLE_OUT`), and needs neither a store nor Kubernetes.
"""
