"""Training: batches, losses, the loop, checkpoints."""
