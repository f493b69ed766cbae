"""Watch event or timer, key in a queue, gather, plan, execute, one status write (design, §3).

`cache` and `feed` know what is there and whom a change wakes; `queue` and `reconcile` run one pass an object; `sources`
is what a pass may read, `execute` what it may write; `lease` says who may. Kinds are plugged in as `Controller`s.
"""
