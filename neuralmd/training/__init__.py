"""Training: objectives, the loop, checkpoints and tracking."""
