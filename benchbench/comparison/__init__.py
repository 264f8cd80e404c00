"""Which models of a suite differ by more than seeds and test sequences explain."""
