"""Encoders, one file each, with the heads that fit them."""
