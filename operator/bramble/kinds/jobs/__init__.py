"""Steps: one Job per attempt, created once, whose result in the store is the authority (design, §4).

`step` names them, `render` makes the children, `gather` reads what is there, `state` says what it means, `attempts` says
what comes after a failure. Training renders its own Job from the parts in `pod`.
"""
