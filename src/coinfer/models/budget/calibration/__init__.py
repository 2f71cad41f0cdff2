"""What outcomes teach: posteriors kept up to date, what to sample next, and honest claims of a plan's value."""
