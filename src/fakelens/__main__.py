"""``python -m fakelens``."""

from fakelens.cli import app

app()
