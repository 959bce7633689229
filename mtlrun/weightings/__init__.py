"""Loss weightings, one file each."""
