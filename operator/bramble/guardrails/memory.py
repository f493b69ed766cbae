"""Memory of the agent that grows faster with the candidate than with the stable version: a leak.

A device reports the memory of its agent that no file backs, in RAM and in swap, as a series over the agent's uptime. All its models are
served by that one process, so what a model or its runtime does not give back shows there. The operator compares how fast memory grows, in
MiB per hour, and not how much there is: boards differ in that, and so do models. The growth of a node is the median of the slopes between
any two of eight samples, each of them the least of 7.5 minutes: a request that needs much for a moment shows in none.

Nodes are compared at five looks, over the last 1, 2, 4, 8 and 16 hours. A node takes part once it has served the version for about that
long and 15 minutes more, without a restart of the agent, which begins a new series. A look needs half of the nodes that serve the
candidate, and waits for those that are more than half-way, at most for half as long as it covers. The growth of each candidate node is
lowered by `allowedGrowth`, which is 1 MiB per hour when unset. The candidate fails at a look over 8 or 16 hours where so many of the nodes
that then grow fastest are candidate nodes that a draw by lot hardly ever gives as many, if its growth lasts: memory settles for hours
after a load, so growth that becomes slower within a look is taken to go on to do so until the last look ends. It passes at the first look
at which so many of those that grow slowest are, or at which its own samples show that it grows by less than `allowedGrowth`. After the
last look it passes as well if nothing was shown.

So a version is held back for 75 minutes at least, and for about 16 hours where nodes differ so much that nothing can be shown.

With few nodes a draw by lot shows nothing: one canary of four has the fastest growth in one case of four. `growthLimit` needs nobody to
compare with: more than half of the candidate nodes must be shown to grow by more. It decides in fleets of a few nodes, and in a step that
leaves no node on the stable version. It assumes that the samples of a node leave its line independently of each other.

No single node brings a Fail about, unless it is the only candidate node of a look. Agents that are older than this metric report no
series. As long as more than half of the candidate's nodes do not, the guardrail is undecided.
"""

from __future__ import annotations

from bramble.guardrails.growth import GrowthMetric

MEMORY = GrowthMetric(
    name="memory",
    description="growth of the agent's memory in MiB per hour, compared with that of stable nodes",
    event="nodes",
)
