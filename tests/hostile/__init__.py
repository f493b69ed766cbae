"""A tenant, a device, a store and a client that do their worst beside a neighbour's rollout."""
