"""Methods, one file each: recipes over the other rooms."""
