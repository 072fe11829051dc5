"""Real engines for every experiment, built by TensorRT-RTX, which needs no GPU for it: ``make test-rtx``."""
