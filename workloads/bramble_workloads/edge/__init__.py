"""The device: an agent that keeps a node's models served, whatever happens to the network, the power or a new version.

Read `agent` for how the parts hang together, `decide` for what a device does next, `slots` for what it remembers, `serving` for how a
model is swapped without a lost request, `trial` for how a new one is tried.
"""
