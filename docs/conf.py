"""How ``make docs`` builds the documentation. Nothing in its pages comes from another server."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

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
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "repository_pages",
]
suppress_warnings = ["toc.empty_glob"]  # pages that a command has yet to write

# pages
myst_enable_extensions = ["dollarmath", "substitution"]
myst_substitutions = option_tables.tables()
myst_heading_anchors = 4
nb_execution_mode = "off"  # the tests execute notebooks; what they printed is kept in them

# the reference
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # else a field with a docstring of its own counts twice

# the site
html_theme = "furo"
html_title = f"metarl {release}"
html_static_path = ["_static"]
html_show_sourcelink = False
html_copy_source = False
mathjax_path = "tex-svg.js"  # MathJax 3.2.2 with its fonts, Apache 2.0; no other server is asked
mathjax3_config = {"options": {"enableMenu": False}}  # the menu would load more from one
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

# links; those to other servers are not followed, so that the check needs no network
linkcheck_ignore = [r"https?://"]
