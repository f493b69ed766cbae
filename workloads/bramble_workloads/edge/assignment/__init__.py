"""One model that is assigned to this node.

`decide` names the next step, `steps` carries it out, `assigned_model` runs both in a loop.
"""
