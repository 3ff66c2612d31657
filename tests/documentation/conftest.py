"""How many blocks of the documentation have run, said at the end."""

from collections import defaultdict

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran: defaultdict[str, list[int]] = defaultdict(list)
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            for name, number in report.user_properties:
                ran[name].append(number)
    for name, numbers in sorted(ran.items()):
        told = f"documentation: {sum(numbers)} {name} of {len(numbers)} documents have run"
        terminalreporter.write_line(told)
