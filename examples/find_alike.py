"""The shoes of a service's catalogue that are most like a photo, and why the nearest one is.

python examples/find_alike.py http://127.0.0.1:8000 photo.jpg
"""

import sys

from solemate.client import ApiError, Client


def main(url: str, photo: str) -> None:
    """Print the five nearest shoes, and what the first two of them share."""
    with Client(url) as client:
        answer = client.search(photo, k=5)
        if answer.subject is not None:
            print(f"the shoe fills {answer.subject.coverage:.0%} of the photo")
        for hit in answer.hits:
            attributes = ", ".join(f"{name}: {'/'.join(values)}" for name, values in hit.attributes.items())
            print(f"{hit.distance:8.3f}  {hit.id}  {attributes}")
        nearest, next_one = answer.hits[:2]
        alike = client.explain(nearest.id, next_one.id)
        shared = [each.name for each in alike.attributes if each.agree]
        print(f"{nearest.id} and {next_one.id} agree in {', '.join(shared) or 'no attribute'}")
        for part in alike.conditions:
            print(f"  {part.name}: {part.share:.0%} of the distance")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ApiError as error:
        sys.exit(f"the service refuses: {error.problem.detail}")
