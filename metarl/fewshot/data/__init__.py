"""Data sets: every loader gives a :class:`metarl.fewshot.Dataset`."""
