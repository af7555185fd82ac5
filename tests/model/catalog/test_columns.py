from collections import Counter

import pytest

from model.catalog.columns import LINKS, NUMBERS, TEXT, find_kind, is_nearly_unique


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["12", "3", "-1", "1.5"], NUMBERS),
        (["89.90", "€ 89,90", "$1,299.00", "EUR 5", "89,- €", "1 299,00 kr", "CHF 1'200.-"], NUMBERS),
        (["2023-05-01", "2023-05-01T10:00:00Z", "1.5.2023", "05/01/23 10:00"], NUMBERS),
        (["10"] * 19 + ["sold out"], NUMBERS),
        (["https://a.example/x?y=1", "www.a.example", "//cdn.example/a.jpg"], LINKS),
        ([f"Derby {n} for men" for n in range(5)], TEXT),
        ([f"Eine-lange-Beschreibung-ohne-Leerzeichen-Nummer-{n}" for n in range(5)], TEXT),
        (["Shoes for men and women"] * 20, None),
        (["Apparel & Accessories > Shoes > Boots > Ankle"] * 20 + ["Apparel & Accessories > Shoes"] * 20, None),
        (["Boots", "Shoes", "Sandals"], None),
        (["10", "boots", "20", "shoes"], None),
        (["S", "M", "XL", "3XL"], None),
    ],
)
def test_kinds(values: list[str], kind: str | None) -> None:
    """Numbers, prices, dates, links and prose are told from the names of kinds, by most of the values."""
    assert find_kind(Counter(values)) == kind


@pytest.mark.parametrize(
    ("values", "shoes", "unique"),
    [(10, 10, True), (6, 11, True), (5, 10, False), (51, 250, True), (50, 200, False), (400, 5000, False)],
)
def test_nearly_unique(values: int, shoes: int, unique: bool) -> None:
    """Few shoes to a value make a column of names; so few are more where there are many values."""
    assert is_nearly_unique(Counter(str(number % values) for number in range(shoes))) == unique
