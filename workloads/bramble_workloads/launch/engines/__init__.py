"""The launcher's half of each engine: how the ranks of one node start, find the other nodes, and end.

Each engine is a folder here, and `catalogue` lists them. docs/rooms.md says how to add one. Modules import each other relatively, because
the launcher is copied into pods under another package name.
"""
