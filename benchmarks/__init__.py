"""Side by side with peers on fixed instances; never a pass or fail on wall time."""
