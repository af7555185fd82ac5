"""The networks' shapes: configurations that travel in the checkpoint."""

from dataclasses import dataclass

FREE = "free"
"""The slice that no condition orders: what the decoder needs beyond the conditions."""

INSTANCE = "shoe"
"""The slice that tells one shoe from another: photos of a shoe lie near its catalogue picture in it."""


@dataclass(frozen=True)
class Slice:
    """A named part of the mean vector."""

    name: str
    size: int


@dataclass(frozen=True)
class TVAEConfig:
    """The network's shape. Travels in the checkpoint.

    Attributes:
        image_size: H = W of the pictures; divisible by 2 ** len(widths).
        channels: C of the pictures: 3 for RGB, 1 for grey.
        widths: feature maps after each halving of the picture, from the picture inwards.
        blocks: residual blocks after each halving (and before each doubling).
        encoder_blocks: residual blocks of the encoder alone, for each halving, on top of `blocks`; empty for none.
        separate: where there are both conditions' slices and a free remainder, each of the two has an encoder of its
            own, so that what orders shoes costs the pictures nothing. The conditions' one has the `encoder_blocks` and
            ends in the mean of its last feature maps; the remainder's has none.
        sphere: the mean of each condition's slice lies on a sphere, of the square root of its size as radius, which is
            where the prior has most of its samples: then its direction alone tells shoes apart.
        smooth: the decoder's last doubling interpolates, so that no grid shows in its pictures.
        slices: the parts of the mean vector, in order. Their sizes add up to the latent size.

    Raises:
        ValueError: a value out of range, named in the message.
    """

    image_size: int = 64
    channels: int = 3
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 0
    slices: tuple[Slice, ...] = (Slice(FREE, 64),)
    encoder_blocks: tuple[int, ...] = ()
    separate: bool = False
    sphere: bool = False
    smooth: bool = False

    def __post_init__(self) -> None:
        if self.channels not in {1, 3}:
            raise ValueError(f"channels is {self.channels}; expected 1 (grey) or 3 (RGB)")
        self._check_layers()
        names = [part.name for part in self.slices]
        if not names or len(set(names)) != len(names) or min(part.size for part in self.slices) < 1:
            raise ValueError(f"slices are {self.slices}; expected distinct names with positive sizes")
        if self.has_two_encoders and names[-1] != FREE:
            raise ValueError(f"two encoders need the slice {FREE!r} at the end; the slices are {names}")
        if INSTANCE in names and (not self.has_two_encoders or names[-2] != INSTANCE):
            raise ValueError(
                f"the slice {INSTANCE!r} needs two encoders, and a place before {FREE!r}; the slices are {names}"
            )

    def _check_layers(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; expected one positive number for each halving")
        step = 2 ** len(self.widths)
        if self.image_size < step or self.image_size % step:
            raise ValueError(f"image_size is {self.image_size}; {len(self.widths)} widths need a multiple of {step}")
        if self.blocks < 0:
            raise ValueError(f"blocks is {self.blocks}; expected 0 or more")
        if self.encoder_blocks and (len(self.encoder_blocks) != len(self.widths) or min(self.encoder_blocks) < 0):
            raise ValueError(f"encoder_blocks is {self.encoder_blocks}; expected one number for each of {self.widths}")

    @property
    def latent_size(self) -> int:
        """D: the size of the mean vector."""
        return sum(part.size for part in self.slices)

    @property
    def free_size(self) -> int:
        """Of the slice that no condition orders; 0 without one."""
        return sum(part.size for part in self.slices if part.name == FREE)

    @property
    def instance_size(self) -> int:
        """Of the slice that tells one shoe from another; 0 without one."""
        return sum(part.size for part in self.slices if part.name == INSTANCE)

    @property
    def has_two_encoders(self) -> bool:
        """One for the conditions' slices, and one for the free remainder."""
        return self.separate and 0 < self.free_size < self.latent_size

    @property
    def slice_bounds(self) -> dict[str, tuple[int, int]]:
        """Slice name -> (start, stop) in the mean vector."""
        bounds, start = {}, 0
        for part in self.slices:
            bounds[part.name] = (start, start + part.size)
            start += part.size
        return bounds


NETWORK_PRESETS = {
    "mnist": TVAEConfig(image_size=28, channels=1, widths=(32, 64), blocks=1, slices=(Slice(FREE, 20),)),
    "shoes": TVAEConfig(smooth=True),
    "shoes-large": TVAEConfig(encoder_blocks=(0, 1, 1, 1), separate=True, sphere=True, smooth=True),
}


@dataclass(frozen=True)
class LocalizerConfig:
    """The localizer's shape. Travels in the checkpoint.

    Attributes:
        size: H = W of its input and of its mask; divisible by 2 ** (len(widths) - 1).
        widths: feature maps at full size, at a half, at a quarter, ...
    """

    size: int = 96
    widths: tuple[int, ...] = (12, 24, 64, 96, 128)
