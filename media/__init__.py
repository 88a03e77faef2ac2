"""Tones, prompts, call quality and finished recordings."""
