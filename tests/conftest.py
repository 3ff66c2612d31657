"""Shared by all tests: one torch thread (small tensors are fast, sums repeat), fixed examples."""

import hypothesis
import torch

torch.set_num_threads(1)

# The same examples every time and no clock, so that a red test is red again.
hypothesis.settings.register_profile(
    "metarl", derandomize=True, deadline=None, database=None, max_examples=50
)
hypothesis.settings.load_profile("metarl")
