"""Serves one model that is assigned to this node.

`decide` chooses the next step, `steps` carries it out, and `assigned_model` runs both in a loop.
"""
