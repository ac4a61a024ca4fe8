"""Tests of what a user's type checker says."""
