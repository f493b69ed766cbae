"""How often rollouts decide wrongly, by simulation with the functions that the operator decides with (`bramble.evidence`).

`worlds` makes what nodes count, `attempt` keeps it as the operator's ledger does, for many rollouts at once, and `trials` lets the evidence
decide. `ledger` lets the operator itself decide about some of the same counts, and `rivals` other tools. `rows` lists what is simulated and
asked for, and `report` writes it down.
"""
