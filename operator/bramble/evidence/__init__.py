"""How sure the evidence is that a candidate is worse than the stable version, or that it is not. Pure: numpy and the standard library only.

Every test here is an e-process: a number that starts at 1 and is updated with each interval's counts, and whose expectation never exceeds
1 while its hypothesis is true. By Ville's inequality it then ever reaches 1/α with a probability of at most α. So it may be looked at
after each report, and stopped at any moment. All figures are natural logarithms of e-values, in nats.

`ratio` compares a candidate with a stable cohort, and `rate` a candidate with a fixed rate. `baselines` says what to expect of each node
by its own history, `drift` measures how far nodes leave that by themselves, `cohorts` what they show one by one, and `verdict` decides.
`losses` is for nodes that fall silent, and `growth` for memory. Functions broadcast over
leading axes: the operator has none, the simulation one for its rollouts. The guarantee and its assumptions are in
docs/design/2026-12-01-evidence.md.
"""
