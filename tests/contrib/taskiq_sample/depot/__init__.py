"""A depot of parcels: a sample application that uses taskiq as its documentation teaches it."""
