"""Options that several commands of `python -m training` share."""

from typing import Annotated

import typer

__all__ = ["CATALOG_HELP", "CatalogOption", "DeviceOption"]

CATALOG_HELP = "A UT-Zap50K folder, a folder of folders, or csv:FILE?id=..&image=..&attributes=.."

CatalogOption = Annotated[str, typer.Option("--catalog", help=CATALOG_HELP, show_default=False, rich_help_panel="Data")]
DeviceOption = Annotated[
    str, typer.Option(help="auto, cpu or cuda. auto takes the GPU where there is one.", rich_help_panel="Run")
]
