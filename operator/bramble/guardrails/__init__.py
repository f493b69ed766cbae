"""The metrics that a Rollout's guardrails watch: one file each, listed in `catalogue.METRICS`.

A metric's file says all that is specific to it: how the API and the documentation describe it, which of the devices' counts it reads, and
how it judges a candidate. The package stands below `bramble.api`, which takes the enum and the rules of the CRD from it, and imports
the contracts only. The page docs/rooms.md shows how to add one.
"""
