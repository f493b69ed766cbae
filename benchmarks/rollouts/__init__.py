"""How often rollouts decide wrongly, by simulation with the functions that the operator decides with (`bramble.evidence`).

`worlds` makes what nodes count, `trials` lets the evidence decide, `rivals` lets other tools decide about the same counts, `rows` lists
what is simulated and asked for, and `report` writes it down.
"""
