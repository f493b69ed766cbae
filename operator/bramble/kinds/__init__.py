"""The controllers of the five kinds, and what they share.

Each kind is a package: `gather` reads, `plan` decides (pure, with a file for each policy), `render` builds children, `status` builds
conditions. A controller imports nothing of another kind's.
"""
