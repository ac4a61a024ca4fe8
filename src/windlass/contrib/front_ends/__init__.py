"""What the front ends for code of other libraries have in common; not for users' own code."""
