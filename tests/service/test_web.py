"""The page's sources keep the promises its Content-Security-Policy makes for it."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import service
from model.framing import Box, View

WEB = Path(service.__file__).parent / "web"
OWN = sorted(path for path in WEB.rglob("*") if path.is_file() and "vendor" not in path.parts)
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
TEXTS = [path for path in OWN if path.suffix in {".html", ".css", ".js", ".svg"}]
MOST_BYTES = 200_000
SVG_NAMESPACE = "http://www.w3.org/2000/svg"

IMPORT = re.compile(r"""\b(?:import|from)\s*\(?\s*["']([^"'\n]+\.js)["']""")
SCRIPTED_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment|document\.write|DOMParser"
    r"|\beval\(|new Function|setTimeout\(\s*[\"'`]|javascript:"
)


class Tags(HTMLParser):
    """Collects every start tag with its attributes, and the text inside script and style elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Remember text that a browser would run or apply."""
        if self.cdata_elem in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def html() -> Tags:
    """index.html, taken apart."""
    tags = Tags()
    tags.feed((WEB / "index.html").read_text(encoding="utf-8"))
    return tags


def references(tags: Tags) -> list[str]:
    """Every address that index.html makes the browser load or offers as a link."""
    return [attributes[name] for _, attributes in tags.tags for name in ("src", "href") if name in attributes]


def imports(script: Path) -> list[str]:
    """The module names that a script imports."""
    return IMPORT.findall(script.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """A file's name in a test's id."""
    return path.relative_to(WEB).as_posix()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_shops_shoe_goes_by_its_title() -> None:
    """A shoe of a shop's export goes by its title, without its links and its price; others go by what they are."""
    script = (
        (WEB / "base" / "words.js").read_text(encoding="utf-8")
        + """
        const shop = { id: "1", attributes: { Price: ["90"], Title: ["Derby"], URL: ["https://shop.example"] } };
        const plain = { id: "1", attributes: { Brand: ["Acme"], Category: ["Boots"] } };
        const shown = [shop, plain].map((shoe) => describe(shoe, kindFirst(Object.keys(shoe.attributes))));
        console.log(JSON.stringify(shown));
    """
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], check=True, capture_output=True, text=True, timeout=240
    )
    assert json.loads(done.stdout) == [
        {"name": "Derby", "details": "", "all": "Derby"},
        {"name": "Boots, Acme", "details": "", "all": "Boots, Acme"},
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("degrees", [0, 90, 180, -90, 30, -17])
def test_crop_holds_what_is_boxed_on_a_turned_photo(degrees: int) -> None:
    """The service, which crops before it turns, is asked for the part of the photo that holds the box."""
    photo, box = np.zeros((300, 400, 3), np.uint8), (0.3, 0.35, 0.4, 0.2)
    script = (
        (WEB / "photo" / "view.js").read_text(encoding="utf-8")
        + f"""
        const view = {{ box: {list(box)}, rotate: {degrees}, whole: false }};
        console.log(JSON.stringify(optionsOf(view, {{ width: 400, height: 300 }}).crop.split(",").map(Number)));
    """
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], check=True, capture_output=True, text=True, timeout=240
    )
    crop = Box(*json.loads(done.stdout))
    turned = View(rotate=degrees).apply(Image.fromarray(photo)).size
    left, top, right, bottom = Box(*box).to_pixels(turned)
    # The photo is white where the service crops it: what is boxed is white then, and as small as it can be.
    x0, y0, x1, y1 = crop.to_pixels((400, 300))
    photo[y0:y1, x0:x1] = 255
    seen = np.asarray(View(rotate=degrees).apply(Image.fromarray(photo)))[..., 0]
    assert seen[top + 2 : bottom - 2, left + 2 : right - 2].min() > 250
    if degrees % 90 == 0:
        assert (seen > 127).sum() == pytest.approx((right - left) * (bottom - top), rel=0.03)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_no_external_address(path: Path) -> None:
    """No source names another host, so the page works offline."""
    text = path.read_text(encoding="utf-8").replace(SVG_NAMESPACE, "")
    assert re.findall(r"(?:https?:|wss?:|[\"'(=])//\S*", text) == []


def test_no_inline_script_or_style(html: Tags) -> None:
    """The markup holds no script text, no style text, no style attribute and no event handler."""
    assert html.inline == []
    assert "style" not in {tag for tag, _ in html.tags}
    names = {name for _, attributes in html.tags for name in attributes}
    assert {name for name in names if name == "style" or name.startswith("on")} == set()
    assert all("src" in attributes for tag, attributes in html.tags if tag == "script")


def test_no_form_and_no_base(html: Tags) -> None:
    """The policy forbids form targets and base addresses; the markup has neither."""
    assert {tag for tag, _ in html.tags} & {"form", "base", "iframe", "object", "embed"} == set()


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_data_never_becomes_markup(script: Path) -> None:
    """No script turns text into markup or code, nor writes a style attribute."""
    text = script.read_text(encoding="utf-8")
    assert SCRIPTED_MARKUP.findall(text) == []
    assert re.search(r"""["']?style["']?\s*:|setAttribute\(\s*["']style""", text) is None


@pytest.mark.parametrize("sheet", sorted(WEB.glob("*.css")), ids=name_of)
def test_stylesheets_load_nothing(sheet: Path) -> None:
    """No stylesheet imports another file, font or picture."""
    assert re.search(r"@import|@font-face|url\(", sheet.read_text(encoding="utf-8")) is None


def test_the_start_is_small(html: Tags) -> None:
    """What the browser loads to search, with the box of a photo, is less than 200 KB before it is compressed."""
    loaded = reach(html, views=False)
    assert not any(name.startswith("views/") for name in loaded)
    assert "photo/cropbox.js" in loaded
    cropper = sum(path.stat().st_size for path in (WEB / "vendor").glob("cropper.min.*"))
    page = (WEB / "index.html").stat().st_size
    assert page + cropper + sum((WEB / name).stat().st_size for name in loaded) < MOST_BYTES


def test_references_exist(html: Tags) -> None:
    """Every file that index.html names is under web/, beside the page wherever a proxy puts it, and there."""
    for address in references(html):
        assert address.startswith(("web/", "#")), address
        if address.startswith("web/"):
            assert (WEB / address.removeprefix("web/")).is_file(), address


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_no_script_asks_at_the_root(script: Path) -> None:
    """No script has an address that begins at the host's root: a proxy may serve the page under a path of its own."""
    assert re.findall(r"""["'`]/(?:v1|web|docs)\b""", script.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_imports_exist(script: Path) -> None:
    """Every module that a script imports is one of the page's files, named from where the script is."""
    for name in imports(script):
        assert name.startswith(("./", "../")), name
        target = (script.parent / name).resolve()
        assert target.is_file(), name
        assert target.is_relative_to(WEB.resolve()), name


def reach(html: Tags, *, views: bool) -> set[str]:
    """The files that index.html loads, itself or by modules that import others; with or without those of the views."""
    reached: set[str] = set()
    todo = [address.removeprefix("web/") for address in references(html) if address.startswith("web/")]
    while todo:
        name = todo.pop()
        if name in reached or name.startswith("vendor/") or (name.startswith("views/") and not views):
            continue
        reached.add(name)
        script = WEB / name
        if script.suffix == ".js":
            todo.extend(
                (script.parent / each).resolve().relative_to(WEB.resolve()).as_posix() for each in imports(script)
            )
    return reached


def test_modules_are_preloaded(html: Tags) -> None:
    """The search's modules are asked for at once, not one after the other as each is found to import the next."""
    preloaded = [attributes["href"] for _, attributes in html.tags if attributes.get("rel") == "modulepreload"]
    needed, todo = set(), [WEB / "main.js", WEB / "search" / "samples.js"]
    while todo:
        script = todo.pop()
        if name_of(script) in needed:
            continue
        needed.add(name_of(script))
        static = re.findall(r"""^import\b.*["'](\S+\.js)["'];$""", script.read_text(encoding="utf-8"), re.MULTILINE)
        todo.extend((script.parent / name).resolve() for name in static)
    assert preloaded == [f"web/{name}" for name in sorted(needed - {"main.js"})]


def test_no_file_is_left_over(html: Tags) -> None:
    """Every file of the folder is reached from index.html, or belongs to the description's page."""
    others = {"index.html", "docs.html", "docs.js", "views.css"}
    assert {name_of(path) for path in OWN} == reach(html, views=True) | others


def test_scripts_find_their_elements(html: Tags) -> None:
    """Every element that a script looks up by id is in index.html, and ids are unique."""
    ids = [attributes["id"] for _, attributes in html.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {
        name for script in SCRIPTS for name in re.findall(r'byId\("([^"]+)"\)', script.read_text(encoding="utf-8"))
    }
    assert wanted <= set(ids)
