"""How fast, at what cost, and against whom: ratios of medians, both sides in turn in the same run."""
