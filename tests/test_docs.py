"""The docs as a site, told without building it."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from mcld import __version__

ROOT = Path(__file__).parents[1]


def list_pages(nav: Any) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for inner in nav.values() if isinstance(nav, dict) else nav:
            yield from list_pages(inner)


def test_every_page_is_in_the_sites_navigation_and_every_entry_is_there():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = list(list_pages(config["nav"]))
    assert len(named) == len(set(named))
    assert [name for name in named if not (ROOT / name).is_file()] == []
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert pages - set(named) == set()


def test_the_readme_names_every_page():
    readme = (ROOT / "README.md").read_text()
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in pages if f"docs/{name}" not in readme] == []


def test_what_the_page_of_names_shows_is_there_and_documented():
    names = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert "mcld.pipeline.MCLDPipeline" in names
    for name in names:
        module, _, last = name.rpartition(".")
        shown = getattr(import_module(module), last)
        assert shown.__doc__, name


def test_who_cites_is_told_this_version_and_the_paper():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert told["version"] == __version__
    (paper,) = told["references"]
    assert "Multi-focal Conditioned Latent Diffusion" in paper["title"]
    assert [author["family-names"] for author in paper["authors"]] == [
        *("Liu", "Zhang", "Rota", "Sebe")
    ]
