"""The settings of each engine in `spec.engine`: one module an engine, and `catalogue` names them all."""
