"""Hooks of mkdocs.yml: the site has the repository's own layout, so that one link works in both.

A page of docs/ that links to `../benchmarks/RESULTS.md`, or README.md to `docs/sampling.md`, does
so on the code host and in the site, and `mkdocs build --strict` checks it.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "benchmarks/RESULTS.md")
"""Files beside docs/ that pages link to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Lay the files of docs/ into a folder docs, and those beside it where they lie."""
    root = Path(config.config_file_path).parent
    names = list(BESIDE)
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
        names.append(f"docs/{file.src_uri}")
    for name in names:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files
