from benchmarks.training.report import Machine, Report
from tests.benchmarks.training.plans import make_plan, make_run

MACHINE = Machine(processor="a CPU", cores=2, bf16=("avx512_bf16",), load=0.25)


def _report() -> Report:
    own = [
        make_run("solemate", number, seconds=seconds, whole=10.0) for number, seconds in ((1, 1.0), (2, 2.0), (3, 1.0))
    ]
    other = [make_run("pythae", number, seconds=4.0, whole=30.0) for number in (1, 2, 3)]
    return Report(make_plan(), MACHINE, tuple(run for pair in zip(own, other, strict=True) for run in pair))


def test_ratios_are_within_a_round() -> None:
    """A ratio compares two runs of one round; the table shows their median, lowest and highest."""
    figures = _report().to_json()["sides"]
    assert figures["solemate"]["images_per_second"] == 100.0
    assert figures["pythae"]["images_per_second"] == 25.0
    assert figures["pythae"]["speed_ratios"] == [4.0, 2.0, 4.0]
    assert figures["pythae"]["whole_ratios"] == [3.0, 3.0, 3.0]


def test_the_table() -> None:
    """The table has a row for each side, and says what was trained and where."""
    text = _report().to_markdown()
    assert "| solemate | 100 |  | 10.0 |  | 3.0 | 1.0 | 9.0 |" in text
    assert "| pythae | 25 | **4.00** (2.00 to 4.00) | 30.0 | **3.00** (3.00 to 3.00) | 3.0 | 1.0 | 9.0 |" in text
    assert "3 shoes, network `shoes`, batches of 2, on `cpu`; medians of 3 rounds of 3 epochs" in text
    assert "a CPU, 2 cores (avx512_bf16); load before: 0.2" in text
    assert "nats per picture: solemate -1,234 and 6.8." in text


def test_this_machine() -> None:
    """The machine has a name and at least one core."""
    machine = Machine.look()
    assert machine.processor
    assert machine.cores >= 1
