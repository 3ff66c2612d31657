"""``--head`` and ``--head-options``: what is asked for, and what records say of it."""

from typing import Any

from metarl.fewshot.heads.configs import HeadConfig, HeadName, head_of
from metarl.runs.errors import InputError, input_errors


def asked_head(
    name: HeadName | None, options: dict[str, Any] | None, *, is_regression: bool
) -> HeadConfig | None:
    """The head that is asked for, if any.

    Raises:
        InputError: there are options without a head, or there is no such option.
    """
    if name is None:
        if options is not None:
            raise InputError("is for --head, and there is none", "head_options")
        return None
    if is_regression:
        raise InputError("is for classifiers, and this run is a regression", "head")
    with input_errors("head_options"):
        return head_of(name, options or {})


def rule_of(head: HeadConfig | None) -> dict[str, Any]:
    """What records say of the rule that classified: the learner's own, or a head."""
    if head is None:
        return {"head": "own", "transductive": False}
    return {"head": head.head, "head_options": head.options, "transductive": head.transductive}
