"""The ``metarl`` command, also as ``python -m metarl``: what a signal does to it.

While it trains, a signal ends the run after the iteration (:mod:`metarl.training.runtime`).
"""

import os
import signal
import sys
from importlib import import_module
from importlib.metadata import version
from types import FrameType


class Ended(KeyboardInterrupt):
    """A signal asks this process to end; raised, so that what is open is closed on the way."""


def main() -> int:
    """Run the command line and return the exit status: of a signal, 128 + its number."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"metarl {version('metarl-toolkit')}\n")
        return 0
    signals = (signal.SIGINT, signal.SIGTERM)
    # what is ignored stays so, and what was not installed from Python could not be put back
    handled = [n for n in signals if signal.getsignal(n) not in (None, signal.SIG_IGN)]
    previous = {n: signal.signal(n, _end) for n in handled}
    try:
        status: int = import_module("metarl.cli").main()  # that takes seconds
        return status
    except Ended as ended:
        return _status(ended.args[0])
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one does not wait
    if _is_importing(frame):  # some libraries go on after any error in there, with half a module
        os._exit(_status(number))
    raise Ended(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _status(number: int) -> int:
    name = signal.Signals(number).name
    if os.environ.get("RANK", "0") == "0":  # torchrun ends all its processes so
        sys.stderr.write(f"metarl: ended by {name}; what has been written is whole\n")
        sys.stderr.flush()
    return 128 + number


if __name__ == "__main__":
    sys.exit(main())
