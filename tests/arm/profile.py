"""A pytest plugin for the emulated tests: Hypothesis without deadlines, without shrinking, and with the same examples every time."""

import torch
from hypothesis import Phase, settings

torch.set_num_threads(1)
settings.register_profile("emulated", deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile("emulated")
