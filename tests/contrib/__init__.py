"""Tests of the ties to other libraries, against the real libraries."""
