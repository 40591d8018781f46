"""Configure Sphinx: Markdown pages, executed notebooks, and an API reference made from the docstrings."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import generated_pages  # noqa: E402
import plain_docstrings  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

import intrinsic_clip  # noqa: E402

project = "intrinsic-clip"
author = "The intrinsic-clip authors"
copyright = "the intrinsic-clip authors, MIT licence"
release = version = intrinsic_clip.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "intrinsic-clip"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
copybutton_prompt_text = "$ "

myst_enable_extensions = ["colon_fence", "deflist", "smartquotes"]
myst_heading_anchors = 3

# Notebooks are executed at every build; a cell that fails fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True
nb_number_source_lines = False

# Single backquotes in docstrings are code, and a section such as "x, y: the two modalities" is one entry.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_param = False
napoleon_use_rtype = False
nitpicky = False

# The kernels of the notebooks find the program, and W&B no network.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ["COLUMNS"] = "110"


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for sources."""
    generated_pages.write(ROOT / "docs" / "generated")
    app.connect("autodoc-process-docstring", plain_docstrings.escape, priority=400)
