"""Items that are used together in few parts: the mean number of parts that a set of items touches."""
