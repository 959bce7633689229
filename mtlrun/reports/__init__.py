"""Tables and figures from the files of run folders."""
