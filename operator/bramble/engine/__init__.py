"""The reconcile engine. It watches objects, plans one object at a time, and writes what the plan says (design, §3).

The flow has one direction: a change comes in (`changes`), is stored (`cache`) and queues the objects that it concerns (`queue`). A worker
takes an object (`reconcile`), lets its kind read (`pass_reader`) and plan, and carries the plan out (`execute`). Only the leader works
(`lease`).

Changes come from watches (`bramble.handlers`), from full lists (`relist`), from the gateway (`gateway_poll`, `device_reports`) and from the
answers to our own writes. The kinds are plugged in as `bramble.kinds.controller.Controller`s.
"""
