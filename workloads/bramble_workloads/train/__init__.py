"""The built-in training program: image classification by torch, one process a GPU, over any number of nodes.

It lives by the same contract as a program that a user brings (`$BRAMBLE_DATA`, `$BRAMBLE_PARAMS`, `$BRAMBLE_CHECKPOINTS`,
`$BRAMBLE_PROGRESS`, `$BRAMBLE_OUT`) and needs neither a store nor Kubernetes.
"""
