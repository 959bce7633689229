"""Affinity collectors, one file each."""
