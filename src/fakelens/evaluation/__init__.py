"""Measures heatmap methods on faces whose forged area is known: ``fakelens benchmark explain``."""
