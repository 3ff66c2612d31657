"""How ``make docs`` builds the documentation. Nothing in its pages comes from another server."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, get_type_hints

from sphinx.ext import napoleon

sys.path.insert(0, str(Path(__file__).parent))
import option_tables

project = "metarl"
author = "the metarl authors"
project_copyright = author
version = release = installed_version("metarl-toolkit")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "repository_pages",
]

# pages
myst_enable_extensions = ["dollarmath", "substitution"]
myst_substitutions = option_tables.tables()
myst_heading_anchors = 4
nb_merge_streams = True
nb_execution_mode = "off"  # the tests execute notebooks; what they printed is kept in them

# the reference
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

# the site
html_theme = "furo"
html_title = f"metarl {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
html_copy_source = False
mathjax_path = "tex-svg.js"  # MathJax 3.2.2 with its fonts, Apache 2.0; no other server is asked
mathjax3_config = {"options": {"enableMenu": False}}  # the menu would load more from one
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True


# a field with a docstring of its own would count twice
GOOGLE = napoleon.Config(napoleon_use_ivar=True)


def as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings of Google's style; those of attributes are prose, no type before their colon."""
    if what not in ("attribute", "data", "property"):
        given = napoleon.GoogleDocstring(lines, GOOGLE, app, what, name, obj, options)
        lines[:] = given.lines()


def of_options(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """The signature of a config, whose options have a page; ranges go from their types."""
    if what != "class" or not hasattr(obj, "__pydantic_fields__"):
        return None
    plain = get_type_hints(obj)  # without what is annotated
    obj.__annotations__ = {field: plain[field] for field in obj.__annotations__}
    return "(**options)", returned


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", of_options)
    app.connect("autodoc-process-docstring", as_rst)
