import unicodedata

from model.text import LONG_RUN, nfc, nfc_attributes


def test_forms_are_one() -> None:
    """What was typed in form D is what is typed in form C, also where several marks or Hangul are composed."""
    for text in ("Größe", "Zoë", "한글", "ệ", "plain", ""):
        assert nfc(text) == text
    assert nfc("Gro\u0308ße") == "Größe"
    assert nfc("e\u0323\u0302") == nfc("e\u0302\u0323") == "ệ"


def test_long_runs_of_marks_stay_as_they_are() -> None:
    """Ordering them takes quadratic time; 30 marks in a row, and other symbols in any number, are no reason."""
    for text in ("e" + "\u0302" * 30 + "\u0323", "\u0301" * 200_000 + "\u0323" * 200_000):
        assert nfc(text) == text
    assert nfc("e" + "\u0302" * 15 + "\u0323" * 15) == "ệ" + "\u0323" * 14 + "\u0302" * 14
    assert nfc("\u2014" * 40 + "Gro\u0308ße") == "\u2014" * 40 + "Größe"


def test_every_mark_counts() -> None:
    """Whatever character Python moves when it orders marks is found by the expression that looks for long runs."""
    for character in map(chr, range(0x110000)):
        if unicodedata.combining(character):
            assert LONG_RUN.fullmatch(character * 31), hex(ord(character))


def test_attributes_that_become_one() -> None:
    """Names of one attribute in two forms share their values, each once; one without values keeps none."""
    given = {"Größe": ["für"], "Gro\u0308ße": ["fu\u0308r", "weit"], "Farbe": []}
    assert nfc_attributes(given) == {"Größe": ("für", "weit"), "Farbe": ()}
