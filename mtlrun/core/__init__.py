"""Nouns and protocols. This file imports nothing, so that solvers start without torch."""
