"""What taskiq lets be made anew, under the names of its own modules."""
