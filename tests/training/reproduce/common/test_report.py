from training.reproduce.common.report import Spread


def test_spread() -> None:
    """A figure over several seeds is its mean and the sample's standard deviation; of one seed it has none."""
    assert Spread.of([1.0, 3.0]) == Spread(2.0, 2.0**0.5)
    assert Spread.of([0.5]).to_text(100, 1) == "50.0"
    assert Spread.of([0.5, 0.52]).to_text(100, 2) == "51.00 ± 1.41"
