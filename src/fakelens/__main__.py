"""``python -m fakelens``."""

from fakelens.cli.app import app

app()
