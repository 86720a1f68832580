"""Makers of the assets that ship with the package. Not part of the installed package."""
