"""Networks that compare a picture with the aligned reference. Needs torch; nothing is imported before one is used."""
