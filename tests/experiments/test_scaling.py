"""The model of iterations on many processes, by hand."""

import pytest
from numpy.testing import assert_allclose
from scaling import Cost, Network, cost_of, most_useful, network_of, predicted

COST = Cost(fixed=0.5, per_task=0.1, messages=10, num_bytes=1000)
NETWORK = Network(hop=0.001, per_byte=0.0001)


def test_one_process_sends_nothing() -> None:
    assert predicted(COST, NETWORK, 1, 8) == pytest.approx((1.3, 0.0))


def test_four_processes() -> None:
    """9 tasks: 3 of the first. 10 messages of 6 hops; each byte goes 6 / 4 times."""
    assert predicted(COST, NETWORK, 4, 9) == pytest.approx((0.8, 0.06 + 0.15))
    assert predicted(COST, NETWORK, 4, 9, cores=2).compute == pytest.approx(1.6)  # half a core


def test_more_processes_stop_helping() -> None:
    """8 tasks on one process more save 0.1 at most and cost 0.02 and a little."""
    best = most_useful(COST, NETWORK, 8)
    assert 1 < best < 8
    whole = [predicted(COST, NETWORK, n, 8).whole for n in range(1, 9)]
    assert whole[best - 1] == min(whole)


def test_costs_are_a_line_through_the_seconds() -> None:
    found = {"seconds": {"8": 1.3, "16": 2.1, "32": 3.7}, "messages": 3, "bytes": 40}
    assert_allclose(cost_of(found), (0.5, 0.1, 3, 40))


def test_a_network_from_sums_alone() -> None:
    """2 processes: 2 hops, and every byte once; 4: 6 hops, and every byte 1.5 times."""
    latency = {
        "2": {"1": 0.002, "1000000": 0.002 + 4e6 * 1e-9},
        "4": {"1": 0.006, "1000000": 0.006 + 1.5 * 4e6 * 1e-9},
    }
    assert_allclose(network_of(latency), (0.001, 1e-9))
