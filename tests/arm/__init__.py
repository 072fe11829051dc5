"""The C kernels on 64-bit ARM, under user-mode emulation: `make test-arm`."""
