"""Architectures of several tasks, one file each."""
