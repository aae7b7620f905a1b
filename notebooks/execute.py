"""Run the notebooks on the samples and keep their outputs: `python notebooks/execute.py`.

The first one shows the owner's own log, and is kept without.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def main() -> None:
    """Run each and write it back; nothing but what it shows changes."""
    for path in sorted(FOLDER.glob("*.ipynb"))[1:]:
        notebook = nbformat.read(path, as_version=4)
        where = {"metadata": {"path": str(FOLDER)}}
        NotebookClient(notebook, timeout=120, record_timing=False, resources=where).execute()
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
