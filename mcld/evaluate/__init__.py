"""Pictures of a split -> the paper's metrics, and a report that can be looked at."""
