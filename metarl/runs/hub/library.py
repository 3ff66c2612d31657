"""The library of the hub, and what it says when something goes wrong, in one line."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from metarl.runs.errors import InputError


def hub_library(what: str) -> Any:
    """``huggingface_hub``; :class:`InputError` where it, or safetensors, is missing.

    Args:
        what: it is needed for.
    """
    try:
        importlib.import_module("safetensors.torch")
        return importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        missing = "needs huggingface_hub: pip install 'metarl-toolkit[hub]'"
        raise InputError(f"{what} {missing}") from error


@contextmanager
def hub_errors(address: str) -> Iterator[None]:
    """Whatever the hub refuses in here is an :class:`InputError` about that address.

    Its progress bars, one for every cached file, and its own warnings are off.
    """
    kinds, utils = (importlib.import_module(f"huggingface_hub.{m}") for m in ("errors", "utils"))
    were_off, verbosity = utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    except kinds.RevisionNotFoundError as error:
        raise InputError(f"{address}: the repository has no such revision") from error
    except kinds.RepositoryNotFoundError as error:
        raise InputError(
            f"{address}: no such repository, or a private one and no right to see it: "
            "`hf auth login`, or set HF_TOKEN"
        ) from error
    except kinds.LocalEntryNotFoundError as error:
        raise InputError(f"{address}: the hub cannot be reached, and no copy is here") from error
    except (kinds.HTTPError, OSError, ValueError) as error:  # also of names that cannot be
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        if getattr(getattr(error, "response", None), "status_code", 0) in (401, 403):
            reason = "the hub refuses the token: `hf auth login`, or set HF_TOKEN to one that may"
        raise InputError(f"{address}: {reason}") from error
    finally:
        utils.logging.set_verbosity(verbosity)
        if not were_off:
            utils.enable_progress_bars()
