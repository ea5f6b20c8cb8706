"""What goes with a release: one place for the version, a changelog, papers that lead somewhere."""

import re

import pytest

from .deploy.files import TOP, version

COMMAND = r"(?:^|`)make ((?:[a-z]+ ?)+?)(?=`|  |$)"
"""`make` and its words, in a line of their own or in backquotes."""

PAPERS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def test_no_module_names_the_version() -> None:
    """The package reads its version from the installed metadata, which pyproject.toml gives."""
    naming = [
        path.name
        for path in (TOP / "llm_stream").rglob("*.py")
        if version() in path.read_text("utf-8")
    ]

    assert naming == []


def test_the_changelog_goes_backwards() -> None:
    """What is not released stands above all releases, the newest of which comes first."""
    headings = re.findall(r"^## (.+)$", (TOP / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    released = [
        re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d\d-\d\d", each) for each in headings[1:]
    ]
    numbers = [tuple(map(int, each.groups())) for each in released if each]

    assert headings[0] == "Unreleased"
    assert None not in released
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("paper", PAPERS)
def test_links_of_papers_lead_to_files(paper: str) -> None:
    """Every relative link has a file of this repository behind it."""
    links = re.findall(r"\]\(([^)#:]+)\)", (TOP / paper).read_text("utf-8"))

    assert [link for link in links if not (TOP / link).exists()] == []


@pytest.mark.parametrize("paper", ["README.md", "CONTRIBUTING.md", "docs/deployment.md"])
def test_words_for_make_are_targets(paper: str) -> None:
    """Whatever a paper tells to make can be made."""
    targets = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text("utf-8"), re.MULTILINE))
    told = {
        word
        for words in re.findall(COMMAND, (TOP / paper).read_text("utf-8"), re.MULTILINE)
        for word in words.split()
    }

    assert told
    assert told <= targets
