"""Kinds of tasks: each file holds a loss and its metrics."""
