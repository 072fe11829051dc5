"""Many runs: an experiment with a seed each, one after the other, side by side in worker processes, or as one stack.

Nothing is imported here: ``processes`` alone must start before torch is loaded.
"""
