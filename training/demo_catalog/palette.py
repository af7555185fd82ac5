"""The colours of the demo catalogue, and the schemes in which they are combined on a shoe."""

from dataclasses import dataclass

import numpy as np

from training.demo_catalog.canvas import Color, darken, lighten, mix

COLORS: dict[str, tuple[int, Color]] = {
    "Black": (3, (38, 37, 40)),
    "White": (14, (226, 226, 226)),
    "Cream": (21, (226, 213, 186)),
    "Grey": (36, (142, 144, 149)),
    "Charcoal": (39, (76, 78, 84)),
    "Brown": (54, (98, 62, 40)),
    "Chestnut": (58, (140, 76, 44)),
    "Cognac": (62, (172, 98, 50)),
    "Tan": (72, (198, 150, 100)),
    "Taupe": (81, (150, 128, 110)),
    "Nude": (88, (224, 184, 158)),
    "Navy": (107, (40, 50, 92)),
    "Blue": (119, (48, 104, 190)),
    "Sky": (124, (140, 190, 226)),
    "Teal": (133, (32, 132, 138)),
    "Mint": (139, (160, 218, 196)),
    "Green": (150, (62, 134, 78)),
    "Lime": (156, (164, 204, 58)),
    "Olive": (163, (108, 108, 66)),
    "Yellow": (177, (240, 204, 68)),
    "Orange": (184, (234, 126, 44)),
    "Coral": (190, (240, 124, 106)),
    "Red": (201, (190, 40, 46)),
    "Burgundy": (208, (112, 32, 50)),
    "Pink": (221, (244, 166, 190)),
    "Fuchsia": (227, (222, 58, 130)),
    "Purple": (236, (124, 76, 156)),
    "Lavender": (240, (192, 172, 220)),
    "Gold": (251, (206, 172, 100)),
    "Silver": (256, (190, 193, 200)),
}

# Each audience's colours, the usual ones first; sober ones serve dress shoes and boots, the rest only sport and play.
_SOBER = {
    "Men": ("Black", "Brown", "Chestnut", "Cognac", "Navy", "Charcoal", "Olive", "Tan"),
    "Women": ("Black", "Nude", "Burgundy", "Red", "Taupe", "Tan", "Purple", "Gold", "Coral", "Cream", "Teal", "Silver"),
    "Boys": ("Navy", "Brown", "Black", "Blue", "Green", "Olive", "Red"),
    "Girls": ("Pink", "Fuchsia", "Purple", "Lavender", "White", "Red", "Silver", "Coral"),
}
_BRIGHT = {
    "Men": ("Charcoal", "Navy", "Black", "Grey", "Olive", "Blue", "White", "Red"),
    "Women": ("White", "Lavender", "Teal", "Grey", "Coral", "Purple", "Black", "Cream", "Nude", "Fuchsia"),
    "Boys": ("Blue", "Red", "Green", "Navy", "Orange", "Lime", "Black", "Yellow"),
    "Girls": ("Pink", "Fuchsia", "Lavender", "Purple", "Mint", "White", "Coral", "Yellow"),
}
_ACCENTS = {
    "Men": ("White", "Orange", "Red", "Lime", "Grey", "Black", "Tan"),
    "Women": ("White", "Fuchsia", "Mint", "Gold", "Silver", "Coral", "Nude"),
    "Boys": ("Yellow", "Lime", "White", "Orange", "Red", "Sky"),
    "Girls": ("White", "Yellow", "Fuchsia", "Mint", "Silver", "Purple"),
}
_INSOLES: dict[str, Color] = {
    "": (200, 190, 178), "Leather": (204, 158, 106), "Padded": (120, 116, 118), "Removable": (70, 76, 92),
    "EVA": (92, 150, 190), "Fleece": (238, 230, 214), "Shearling": (232, 214, 180), "Memory Foam": (176, 200, 222),
    "Cork": (186, 140, 92),
}  # fmt: skip
_NEUTRAL = ("Cream", "Grey", "Yellow", "Mint", "White", "Tan")


@dataclass(frozen=True)
class Scheme:
    """The colours of one shoe."""

    main: Color
    second: Color
    accent: Color
    lining: Color
    sole: Color
    lace: Color
    metal: Color

    @property
    def strap(self) -> Color:
        """A strap that stands out from the upper."""
        if sum(abs(a - b) for a, b in zip(self.main, self.second, strict=True)) > 120:
            return self.second
        return lighten(self.main, 0.35) if sum(self.main) < 330 else darken(self.main, 0.35)

    @property
    def seam(self) -> Color:
        """A seam on the upper: darker than it, or lighter where it is nearly black."""
        dark = sum(self.main) < 150
        return mix(self.main, (255, 255, 255) if dark else (0, 0, 0), 0.22 if dark else 0.38)


def colors_for(gender: tuple[str, ...], *, bright: bool, rng: np.random.Generator) -> list[str]:
    """Return the names of the colours a product may come in, this product's first colour first."""
    names = _NEUTRAL if len(gender) > 1 else (_BRIGHT if bright else _SOBER)[gender[0]]
    # The usual colours come early in the list and should come up often: sort by a rank that noise can overturn.
    ranks = np.arange(len(names)) * 0.6 + rng.random(len(names)) * len(names)
    return [names[i] for i in np.argsort(ranks, kind="stable")]


def scheme_for(name: str, gender: tuple[str, ...], insole: str, *, bright: bool, rng: np.random.Generator) -> Scheme:
    """Return the colours that go with the main colour `name`; the insole has its own."""
    # Dye lots: mostly lighter or darker, hardly another hue.
    main = mix(COLORS[name][1], (0, 0, 0) if rng.random() < 0.5 else (255, 255, 255), 0.07 * rng.random())
    accents = [COLORS[accent][1] for accent in _ACCENTS[gender[0]] if accent != name]
    accent = accents[int(rng.random() * len(accents))]
    if bright:
        sole = ((244, 244, 242), (244, 244, 242), (232, 226, 212), (60, 60, 64))[int(rng.random() * 4)]
        second = (accent, darken(main, 0.3), lighten(main, 0.35))[int(rng.random() * 3)]
    else:
        sole = ((52, 42, 36), (36, 34, 34), (150, 106, 68))[int(rng.random() * 3)]
        second = darken(main, 0.25) if sum(main) > 200 else lighten(main, 0.14)
    lining = lighten(_INSOLES[insole], 0.15 * rng.random())
    metal = ((208, 176, 98), (196, 198, 204))[int(rng.random() * 2)]
    lace = (245, 245, 243) if bright and rng.random() < 0.6 else darken(main, 0.45)
    return Scheme(main, second, accent, lining, sole, lace, metal)
