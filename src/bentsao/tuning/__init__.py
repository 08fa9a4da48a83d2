"""Conversations → an adapter: rows, batches, loss, LoRA, checkpoints, the loop."""
