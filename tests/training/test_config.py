from pathlib import Path

import pytest
import torch

from model.checkpoint import Condition
from model.errors import TrainingError
from model.tvae import INSTANCE, NETWORK_PRESETS, TVAE, Slice
from training.conditions import choose_conditions, cut_latent, judge_attributes, parse_condition
from training.config import TrainConfig, default_options, make_config, one_of, read_options

SHOES = NETWORK_PRESETS["shoes"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Gender", (Condition("Gender", ("Gender",)), None)),
        ("sex=Gender", (Condition("sex", ("Gender",)), None)),
        ("sex=Gender:16", (Condition("sex", ("Gender",)), 16)),
        ("look=Closure+ToeStyle:8", (Condition("look", ("Closure", "ToeStyle")), 8)),
        ("Closure + ToeStyle", (Condition("Closure+ToeStyle", ("Closure", "ToeStyle")), None)),
    ],
)
def test_parse_condition(text: str, expected: tuple[Condition, int | None]) -> None:
    """Every spelling of a condition is read."""
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    "text", ["", "=Gender", "a=", "a=+b", "Gender:x", "Gender:0", "free=Gender", "overall=Gender", "a/b=c"]
)
def test_parse_condition_refuses(text: str) -> None:
    """A spelling that is none of these is an error that quotes it."""
    with pytest.raises(TrainingError, match="condition"):
        parse_condition(text)


def test_cut_latent_shares_evenly() -> None:
    """Conditions without a size share the vector with the free remainder."""
    network, conditions = cut_latent(SHOES, 64, [parse_condition(name) for name in ("a", "b", "c")])
    assert network.slices == (Slice("a", 16), Slice("b", 16), Slice("c", 16), Slice("free", 16))
    assert [each.name for each in conditions] == ["a", "b", "c"]


def test_cut_latent_whole_vector() -> None:
    """A condition as large as the vector leaves no free slice; no condition leaves all of it free."""
    assert cut_latent(SHOES, 64, [parse_condition("a:64")])[0].slices == (Slice("a", 64),)
    assert cut_latent(SHOES, 64, [])[0].slices == (Slice("free", 64),)


def test_cut_latent_beside_an_instance() -> None:
    """Conditions get 8 numbers each, the instance slice comes after them, and a remainder has to be left."""
    large, parsed = NETWORK_PRESETS["shoes-large"], [parse_condition("a"), parse_condition("b:4")]
    slices = cut_latent(large, 64, parsed, 32)[0].slices
    assert slices == (Slice("a", 8), Slice("b", 4), Slice(INSTANCE, 32), Slice("free", 20))
    for size in (43, 44):
        with pytest.raises(
            TrainingError, match=rf"do not fit into a mean vector of {size}, of which 'free' needs some"
        ):
            cut_latent(large, size, parsed, 32)


@pytest.mark.parametrize("texts", [["a:40", "b:40"], ["a", "a"], ["a:4", "b", "c:60"]])
def test_cut_latent_refuses(texts: list[str]) -> None:
    """Slices that do not fit, or share a name, are refused."""
    with pytest.raises(TrainingError):
        cut_latent(SHOES, 64, [parse_condition(text) for text in texts])


def _shoes(**columns: str) -> list[dict[str, tuple[str, ...]]]:
    """Shoes from columns of one letter a shoe; a dot is no value."""
    rows = zip(*columns.values(), strict=True)
    return [{name: (cell,) for name, cell in zip(columns, row, strict=True) if cell != "."} for row in rows]


def test_usual_conditions() -> None:
    """Where none are named, UT-Zap50K's conditions are taken as far as the catalogue tells shoes apart by them."""
    attributes = _shoes(SubCategory="aaaabbbb", Gender="mmmmmmmm", Brand="xxyyxxyy")
    assert choose_conditions(None, attributes, 1.0) == [(Condition("category", ("SubCategory",)), None)]


def test_conditions_of_another_catalogue() -> None:
    """Elsewhere they are the first attributes with values that several shoes share and most shoes have."""
    attributes = _shoes(sku="12345678", kind="aaaabbbb", note="x......y", colour="rgrgrg..", one="oooooooo")
    assert choose_conditions(None, attributes, 1.0) == [
        (Condition("kind", ("kind",)), None),
        (Condition("colour", ("colour",)), None),
    ]


def test_columns_that_are_never_conditions() -> None:
    """Numbers, links, titles and what says nothing are no conditions unless they are named; each has a reason."""
    attributes = [
        {
            "Title": (f"Derby {n // 2} in black",),
            "Vendor": (f"Maker {n % 3}",),
            "Type": ("Derby" if n % 2 else "Boot",),
            "Price": (f"{50 + n % 4},90 €",),
            "Stock": (str(n % 5),),
            "URL": (f"https://shop.example/{n % 4}",),
            "SKU": (f"D-{n}",),
            "Season": ("Summer",),
            **({"Note": ("new" if n else "old",)} if n < 4 else {}),
            "upper/sole": ("a" if n % 2 else "b",),
        }
        for n in range(20)
    ]
    assert judge_attributes(attributes) == {
        "Title": "free text",
        "Vendor": None,
        "Type": None,
        "Price": "numbers, prices or dates",
        "Stock": "numbers, prices or dates",
        "URL": "links",
        "SKU": "nearly every shoe has a value of its own",
        "Season": "all shoes have the same value",
        "Note": "most shoes have no value that another shoe has",
        "upper/sole": "no name for a condition; give it one with --condition NAME=ATTRIBUTE",
    }
    assert [each.name for each, _ in choose_conditions(None, attributes, 1.0)] == ["Vendor", "Type"]
    assert [each.name for each, _ in choose_conditions(["Price"], attributes, 1.0)] == ["Price"]


def test_folders_that_are_numbered() -> None:
    """Numbers are no conditions, unless the attribute is one of kinds, as a folder's name is."""
    attributes = _shoes(category="11112222", stock="12121212")
    assert [each.name for each, _ in choose_conditions(None, attributes, 1.0)] == ["category"]


def test_conditions_that_are_named() -> None:
    """Named conditions are taken as they are; the plain VAE has none."""
    attributes = _shoes(SubCategory="aaaabbbb", Gender="mmffmmff")
    assert choose_conditions(["Gender"], attributes, 1.0) == [(Condition("Gender", ("Gender",)), None)]
    assert choose_conditions(["Gender"], attributes, 0.0) == []


def test_one_of_lists_the_known() -> None:
    """An unknown word is answered with the known ones."""
    assert one_of("miner", "random", ("random", "semi-hard")) == "random"
    with pytest.raises(TrainingError, match="miner is 'hard'; expected one of: random, semi-hard"):
        one_of("miner", "hard", ("random", "semi-hard"))


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"batch_size": 1}, {"validation_share": 1.0}, {"learning_rate": 0.0}, {"threads": 0}]
)
def test_impossible_runs_are_refused(options: dict[str, float]) -> None:
    """A value out of range is named."""
    with pytest.raises(TrainingError, match=next(iter(options))):
        TrainConfig(**options)  # type: ignore[arg-type]


def test_fingerprint() -> None:
    """Equal runs have equal fingerprints; settings and shoes change it."""
    config = TrainConfig()
    assert config.fingerprint(["a", "b"]) == TrainConfig().fingerprint(["a", "b"])
    assert config.fingerprint(["a", "b"]) != config.fingerprint(["a"])
    assert config.fingerprint(["a"]) != TrainConfig(seed=1).fingerprint(["a"])


def test_default_options_make_the_default_configuration() -> None:
    """The command line's defaults are those of `TrainConfig`, and there is no second place that has them."""
    assert make_config(default_options()) == TrainConfig()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("miner", "best", "miner is 'best'; expected one of: batch-all, semi-hard"),
        ("likelihood", "normal", "expected one of: bernoulli, gaussian"),
        ("precision", "half", "expected one of: auto, bf16, float32"),
        ("network", "huge", "expected one of: shoes, shoes-large, mnist"),
        ("epochs", 0, "epochs is 0; expected 1 to"),
        ("image_size", 96, "image_size is 96; expected one of: 64, 128, 256"),
    ],
)
def test_an_option_that_is_wrong(option: str, value: object, message: str) -> None:
    """A value that can't be used is named with what is expected."""
    with pytest.raises(TrainingError, match=message):
        make_config(default_options() | {option: value})


@pytest.mark.parametrize("name", ["shoes", "shoes-large"])
@pytest.mark.parametrize(("size", "widths"), [(64, 4), (128, 5), (256, 6)])
def test_larger_pictures(name: str, size: int, widths: int) -> None:
    """The network and the preprocessing take the size; the pictures that it draws have it, too."""
    config = make_config(default_options() | {"network": name, "image_size": size})
    assert config.preprocess.size == config.network.image_size == size
    assert len(config.network.widths) == widths
    assert config.network.widths[-4:] == NETWORK_PRESETS[name].widths
    pictures = TVAE(config.network).decode(torch.zeros(2, config.network.latent_size))
    assert pictures.shape == (2, 3, size, size)


def test_a_file_of_options(tmp_path: Path) -> None:
    """A TOML file gives its values as flags would."""
    path = tmp_path / "run.toml"
    path.write_text('epochs = 3\nmargin = 0.5 # of the mean vector\nsmooth = false\ncondition = ["Gender", "Type:4"]\n')
    known = ("epochs", "margin", "smooth", "condition")
    expected = {"epochs": "3", "margin": "0.5", "smooth": False, "condition": ["Gender", "Type:4"]}
    assert read_options(path, known) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch = 3\nsizes = 1\n", "run.toml has unknown keys: epoch, sizes; known are: epochs, margin$"),
        ("epochs = \n", r"can't read options from .*run\.toml: .*line 1"),
        ("[epochs]\nfirst = 1\n", "epochs is {'first': 1}; expected a number, a text"),
        ("epochs = [1]\n", "a list of texts"),
        ("margin = 1979-05-27\n", "margin is datetime.date"),
    ],
)
def test_a_file_of_options_that_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    """An unknown key is answered with the known ones, other mistakes with what was expected or what is missing."""
    path = tmp_path / "run.toml"
    path.write_text(content)
    with pytest.raises(TrainingError, match=message):
        read_options(path, ("margin", "epochs"))
    with pytest.raises(TrainingError, match=r"can't read options from .*gone\.toml: .*No such file"):
        read_options(tmp_path / "gone.toml", ("epochs",))
