"""Which version a search looks at next."""

import itertools

import pytest

from bench.contract.errors import UsageError
from bench.contract.outcomes import BAD, GOOD
from bench.plan.bisection import next_version, suspects, versions_between
from bench.plan.parse import parse_bisect

VERSIONS = [f"1.{number}" for number in range(10)]  # 1.0 is good, 1.9 is bad


def searched(first_bad, undecided=()):
    """Search to the end; what was found, and in which order."""
    found = {}
    while (version := next_version(VERSIONS, found)) is not None:
        bad = VERSIONS.index(version) >= first_bad
        found[version] = "undecided" if version in undecided else BAD if bad else GOOD
    return found


@pytest.mark.parametrize("first_bad", range(1, 10))
def test_the_first_bad_version_is_found_in_few_steps(first_bad):
    found = searched(first_bad)

    assert suspects(VERSIONS, found) == [VERSIONS[first_bad]]
    assert len(found) <= 5
    assert next(iter(found)) == "1.9"


def test_without_a_difference_there_is_nothing_to_search_for():
    assert list(searched(first_bad=10)) == ["1.9"]


@pytest.mark.parametrize("undecided", list(itertools.combinations(VERSIONS[1:9], 2)))
def test_versions_that_cannot_be_decided_stay_among_those_that_may_be_it(undecided):
    found = searched(4, undecided)
    left = suspects(VERSIONS, found)

    assert "1.4" in left
    assert set(left[:-1]) <= set(undecided)
    assert found[left[-1]] == BAD


def test_versions_lie_between_the_good_and_the_bad_one():
    options = parse_bisect(["--package=keras", "--good=1.2", "--bad=1.5", "--backends=torch"])

    assert versions_between(options, VERSIONS) == ["1.2", "1.3", "1.4", "1.5"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "--good '': expected a version of keras"),
        (["--good=1.2"], "--bad '': expected"),
        (["--good=1.2", "--bad=1.2"], "two variants are called so"),
        (["--good=x", "--bad=1.2"], "--good 'x': expected a version"),
        (["--package=a b", "--good=1.1", "--bad=1.2"], "--package 'a b': expected a package's name"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_line(given, words):
    with pytest.raises(UsageError, match=words) as error:
        parse_bisect(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("1.2", "1.77", "--bad 1.77: keras has no such version; its newest are 1.7, 1.8, 1.9"),
        ("1.5", "1.2", "--bad 1.2: is not newer than --good 1.5"),
    ],
)
def test_versions_that_are_not_published_or_not_newer_are_refused(good, bad, words):
    with pytest.raises(UsageError, match=words):
        versions_between(parse_bisect([f"--good={good}", f"--bad={bad}"]), VERSIONS)


def test_the_same_question_has_the_same_name_and_another_one_another():
    names = [
        parse_bisect([f"--good={good}", "--bad=1.9", *more]).name()
        for good, more in (("1.1", []), ("1.1", ["--output=elsewhere"]), ("1.2", []), ("1.1", ["--backends=torch"]))
    ]

    assert names[0] == names[1]
    assert len(set(names)) == 3
