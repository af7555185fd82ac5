"""Headers that tell a browser what it may do."""

from service.http.middleware.exchange import security_headers
from service.settings import Settings


def read(**settings: object) -> dict[str, str]:
    """The headers under these settings."""
    headers = security_headers(Settings.model_validate(settings))
    return {name.decode(): value.decode() for name, value in headers}


def test_frames() -> None:
    """No other page shows this one in a frame, unless it is named."""
    assert "frame-ancestors 'none'" in read()["content-security-policy"]
    named = read(frame_ancestors="https://shop.example https://*.other.example")["content-security-policy"]
    assert named.endswith("frame-ancestors https://shop.example https://*.other.example")


def test_https_is_left_to_the_proxy() -> None:
    """Whether browsers are to insist on HTTPS is said by whoever terminates TLS."""
    assert "strict-transport-security" not in read()
