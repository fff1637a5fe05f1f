"""Which names a certificate covers."""

import pytest

from worker.core.names import uncovered


@pytest.mark.parametrize(
    ("name", "san"),
    [
        ("a.example.com", ["a.example.com"]),
        ("A.Example.COM", ["a.example.com"]),
        ("a.example.com", ["*.example.com"]),
        ("*.example.com", ["*.example.com"]),
        ("_dmarc.example.com", ["*.example.com"]),
        ("10.0.0.7", ["10.0.0.7"]),
        ("2001:db8::7", ["2001:db8::7"]),
        ("2001:db8::a", ["2001:db8::a"]),
        ("a.b.x1", ["*.b.x1"]),
        (".".join(["x" * 61] * 4) + ".abcde", ["*." + ".".join(["x" * 61] * 3) + ".abcde"]),
    ],
)
def test_a_name_is_covered(name: str, san: list[str]) -> None:
    assert uncovered([name], san) == ()


@pytest.mark.parametrize(
    ("name", "san"),
    [
        ("b.example.com", ["a.example.com"]),
        ("a.b.example.com", ["*.example.com"]),
        ("example.com", ["*.example.com"]),
        ("*.example.com", ["a.example.com", "example.com"]),
        ("a.com", ["*.com"]),
        ("ab.example.com", ["a*.example.com"]),
        ("example.com\0.evil.com", ["example.com\0.evil.com"]),
        ("exämple.com", ["exämple.com"]),
        ("a.example.com.", ["a.example.com"]),
        ("", [""]),
        ("10.0.0.8", ["*.0.0.8"]),
        (".".join(["x" * 61] * 4) + ".abcdef", ["*." + ".".join(["x" * 61] * 3) + ".abcdef"]),
    ],
)
def test_a_name_is_not_covered(name: str, san: list[str]) -> None:
    assert uncovered([name], san) == (name,)


def test_each_uncovered_name_is_told_once() -> None:
    assert uncovered(["x.example.com", "x.example.com"], []) == ("x.example.com",)
