"""The step `convert`. It makes every variant of a model as a package with golden cases, and measures its size, its scores and its drop.

Modules in the order of the work: `source`, `calibration`, `choice`, `graphs`, `inference`, `tolerance`, `golden`, `package`, `step`.
"""
