"""Shared by all tests: one torch thread, so that small tensors are fast and sums repeat."""

import torch

torch.set_num_threads(1)
