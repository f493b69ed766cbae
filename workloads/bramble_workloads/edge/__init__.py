"""The agent, which runs on each node of a fleet and serves its models, also without a network and after a power cut.

Start with `agent`, which starts all parts. `assignment.decide` chooses the next step for a model, `slots` keeps its state on the disk,
`serve` answers requests, and `trial` checks a new package in a process of its own before it may serve.
"""
