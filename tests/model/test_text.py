from model.text import nfc, nfc_attributes


def test_forms_are_one() -> None:
    """What was typed in form D is what is typed in form C, also where several marks or Hangul are composed."""
    for text in ("Größe", "Zoë", "한글", "ệ", "plain", ""):
        assert nfc(text) == text
    assert nfc("Gro\u0308ße") == "Größe"
    assert nfc("e\u0323\u0302") == nfc("e\u0302\u0323") == "ệ"


def test_attributes_that_become_one() -> None:
    """Names of one attribute in two forms share their values, each once; one without values keeps none."""
    given = {"Größe": ["für"], "Gro\u0308ße": ["fu\u0308r", "weit"], "Farbe": []}
    assert nfc_attributes(given) == {"Größe": ("für", "weit"), "Farbe": ()}
