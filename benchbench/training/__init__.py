"""Training: the one loop, its optimiser, data order and checkpoints."""
