"""Shared by all tests: one torch thread (small tensors are fast, sums repeat), fixed examples."""

import signal

import hypothesis
import torch

torch.set_num_threads(1)

# A shell starts what it puts in the background (`make test &`) with Ctrl-C ignored, as runs then
# do, too; tests of Ctrl-C are about the others.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time and no clock, so that a red test is red again.
hypothesis.settings.register_profile(
    "metarl", derandomize=True, deadline=None, database=None, max_examples=50
)
hypothesis.settings.load_profile("metarl")
