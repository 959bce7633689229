"""The pipeline and the one training loop."""
