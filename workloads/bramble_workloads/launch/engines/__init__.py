"""The launcher's part of each engine: it starts the ranks of one node, lets them find the other nodes, and ends them.

Each engine is a folder here, and `catalogue` lists them. docs/rooms.md says how to add one. Modules import each other relatively, because
the launcher is copied into pods under another package name.
"""
