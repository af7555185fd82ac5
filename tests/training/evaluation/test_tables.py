from training.evaluation.tables import to_columns, to_document, to_pipe


def test_tables() -> None:
    """Words stand left and figures right, in Markdown and in columns as wide as their widest cell."""
    table = [["network", "part", "error"], ["VAE", "overall", "1.5"], ["TVAE", "", "10.5"]]
    assert to_pipe(table).splitlines() == [
        "| network | part | error |",
        "| --- | --- | --: |",
        "| VAE | overall | 1.5 |",
        "| TVAE |  | 10.5 |",
    ]
    assert to_columns(table) == ["network  part     error", "VAE      overall    1.5", "TVAE               10.5"]


def test_a_document_shows_its_pictures_last() -> None:
    """Each picture has a section after the paragraphs."""
    assert to_document(["# Title", "Text."], [("Map", "map.png")]) == "# Title\n\nText.\n\n## Map\n\n![Map](map.png)\n"
