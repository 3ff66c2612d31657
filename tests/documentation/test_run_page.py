"""What of a page is run."""

from run_page import Block, blocks

PAGE = """
<!-- run first:
x = 1
-->
```python
x += 1
```

<!-- not run: takes an hour -->
```bash
metarl train
```

```text
neither
```

```bash
ls
```
"""


def test_blocks_of_a_page_in_order() -> None:
    """What is not run is the one block after the comment; lines are those of the page."""
    assert list(blocks(PAGE)) == [
        Block("python", "\nx = 1\n", 2, hidden=True),
        Block("python", "x += 1\n", 6, hidden=False),
        Block("bash", "ls\n", 19, hidden=False),
    ]


def test_what_is_run_first_does_not_end_what_is_not_run() -> None:
    page = "<!-- not run: why -->\n<!-- run first: x = 1 -->\n```python\nx\n```\n"
    assert [block.hidden for block in blocks(page)] == [True]
