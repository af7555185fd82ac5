from training.reproduce.common.tables import Spread, to_columns, to_pipe


def test_spread() -> None:
    """A figure over several seeds is its mean and the sample's standard deviation; of one seed it has none."""
    assert Spread.of([1.0, 3.0]) == Spread(2.0, 2.0**0.5)
    assert Spread.of([0.5]).to_text(100, 1) == "50.0"
    assert Spread.of([0.5, 0.52]).to_text(100, 2) == "51.00 ± 1.41"


def test_tables() -> None:
    """In Markdown words stand left and figures right; for a terminal the columns are as wide as their widest cell."""
    table = [["network", "part", "error"], ["VAE", "overall", "1.5"], ["TVAE", "", "0.5"]]
    assert to_pipe(table, 2).splitlines() == [
        "| network | part | error |",
        "| --- | --- | --: |",
        "| VAE | overall | 1.5 |",
        "| TVAE |  | 0.5 |",
    ]
    assert to_columns(table).splitlines() == [
        "network  part     error",
        "VAE      overall  1.5",
        "TVAE              0.5",
    ]
