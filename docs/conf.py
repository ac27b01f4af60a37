"""How the documentation is built: `sphinx-build -W -b html docs FOLDER`."""

from evodenoise import __version__

project = "evodenoise"
author = "the evodenoise developers"
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = False

myst_heading_anchors = 3
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what types are, in words

html_theme = "pydata_sphinx_theme"
html_title = "evodenoise"
html_theme_options = {
    "navigation_with_keys": True,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_persistent": ["search-button"],
}
html_sidebars = {"**": []}  # no page has pages below it
html_show_sourcelink = False
