"""A step is work of an object that one Job does: each attempt at it is one Job, created once.

`step` names a step and its attempts, `render` and `pod_template` make the Job, `gather` reads what is there, `job` and `pod` type it,
`state` says how the attempt stands, `explain` says why a pod waits or failed, `attempts` counts attempts against their budgets, `lifecycle`
decides what the step needs next, and `stale_children` finds what earlier attempts left.
A result in the store is the authority on whether an attempt succeeded, whatever its Job says. Training makes its own Job.
"""
