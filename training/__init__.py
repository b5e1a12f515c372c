"""Trains fakelens' own networks; see ``training/README.md``. Not part of the installed package."""
