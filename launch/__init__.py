"""Thin entry points: flags → config → call."""
