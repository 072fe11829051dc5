"""Commands; each takes the parsed arguments and the catalogue, and returns an exit status."""
