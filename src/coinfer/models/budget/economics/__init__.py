"""What right answers cost: cost of a pass, who is essential, exchange with a larger model, frontiers for charts."""
