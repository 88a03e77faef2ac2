"""Tones and finished recordings."""
