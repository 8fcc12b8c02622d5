"""The docs site: `make docs` builds it into target/site, with what is on this machine. A warning is an error."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "site")]

project = html_title = "kovocab"
author = "the authors of kovocab"
version = release = installed("kovocab")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    # of docs/site
    "commands",
    "docstrings",
    "languages",
    "links",
]
exclude_patterns = ["site"]
smartquotes = False  # "--out" is no dash and "out"
nitpicky = False  # types in signatures are other packages', whose pages are not at hand

myst_heading_anchors = 3
nb_execution_mode = "cache"  # a notebook whose code is as it was is not run again
nb_execution_cache_path = str(HERE.parent / "target/notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_output_stderr = "remove"  # progress, which a terminal shows

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

html_theme = "furo"
html_static_path = ["site/static"]
html_css_files = ["kovocab.css"]
templates_path = ["site/templates"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_search_language = "en_ko"
html_theme_options = {"top_of_page_buttons": []}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
copybutton_prompt_text = "$ "
